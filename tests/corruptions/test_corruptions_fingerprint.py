"""The fingerprint sees what would change a result."""

from __future__ import annotations

import pytest

from amoc.corruptions import catalogue, counting, tone
from amoc.corruptions.fingerprint import fingerprint
from amoc.corruptions.pixels import to_pixels
from amoc.corruptions.streams import Streams


@pytest.fixture(scope="module")
def before() -> dict:
    return fingerprint()


def test_it_covers_every_corruption_and_severity(before):
    for size in ("32x32", "8x8"):
        assert before["moved"][size].keys() == catalogue.OURS.keys()
        assert all(len(five) == 5 for five in before["moved"][size].values())
    assert before["right"]["one"].keys() == {"clean", *catalogue.OURS}


def test_another_constant_shows(before, monkeypatch):
    def paler(images, severity, streams):
        values = tone.to_unit(images)
        mean = values.mean(axis=(1, 2), keepdims=True)
        return to_pixels((values - mean) * (0.75, 0.5, 0.4, 0.3, 0.14)[severity - 1] + mean)

    monkeypatch.setitem(catalogue.OURS, "contrast", paler)
    after = fingerprint()["moved"]["32x32"]
    assert [name for name in after if after[name] != before["moved"]["32x32"][name]] == ["contrast"]
    assert after["contrast"][:4] == before["moved"]["32x32"]["contrast"][:4]


def test_other_random_numbers_show(before, monkeypatch):
    def others(seed, *purpose, numbers):
        return Streams(seed + 1, *purpose, numbers=numbers)

    monkeypatch.setattr(catalogue, "Streams", others)
    after = fingerprint()["moved"]["32x32"]
    same = [name for name in after if after[name] == before["moved"]["32x32"][name]]
    fixed = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur",
             "saturate"}  # fmt: skip
    assert set(same) == fixed


def test_counting_something_else_shows(before, monkeypatch):
    right = counting._right

    def second_best(features, heads, pixels, labels, device):
        return right(features, heads, pixels, (labels + 1) % 4, device)

    monkeypatch.setattr(counting, "_right", second_best)
    assert fingerprint()["right"] != before["right"]
