"""Numbers rounded to significant digits, wherever they stand."""

from __future__ import annotations

import json
from math import isnan

import numpy as np
import pytest

from amoc.engine.rounding import rounded


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 3, 0.333333),
        (2e-9 / 3, 6.66667e-10),
        (1234567.8, 1234570.0),
        (-0.1 - 0.2, -0.3),
        (0.0, 0.0),
        (7.0, 7.0),
        (123456789, 123456789),  # whole numbers are exact on every machine
        (True, True),
        ("1.23456789", "1.23456789"),
        (None, None),
    ],
)
def test_single_values(value, expected):
    assert rounded(value) == expected
    assert type(rounded(value)) is type(expected)


def test_nested_values():
    value = {"a": [1 / 3, (2 / 3, "x")], "b": {"c": [[], {"d": np.float64(1 / 7)}]}}
    assert rounded(value, 3) == {"a": [0.333, [0.667, "x"]], "b": {"c": [[], {"d": 0.143}]}}
    assert json.dumps(rounded(value)) == json.dumps(rounded(json.loads(json.dumps(rounded(value)))))
    assert value["a"][1] == (2 / 3, "x")


def test_differences_further_down_vanish():
    assert rounded(1.0000001) == rounded(1.0000002) == 1.0
    assert rounded(1.00001) != rounded(1.00002)


def test_not_a_number_stays_one():
    assert isnan(rounded(float("nan")))
    assert rounded(float("-inf")) == float("-inf")
