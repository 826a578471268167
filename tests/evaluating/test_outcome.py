from __future__ import annotations

import base64
import json

import pytest
import torch

from amoc.evaluating.outcome import Outcome, union
from amoc.settings import DeepFool

ATTACK = DeepFool(kind="deepfool", norm="l2", epsilon=0.5, steps=3, overshoot=0.02, images=11)


def bits(text: str) -> list[int]:
    """Base64 to bits, the slow way."""
    return [int(bit) for byte in base64.b64decode(text) for bit in f"{byte:08b}"]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 360])
def test_plain_form_holds_every_image(count, generator):
    correct = torch.rand(count, generator=generator) < 0.6
    plain = json.loads(json.dumps(Outcome(correct, ATTACK, ("a doubt",)).plain()))
    assert set(plain) == {"n", "accuracy", "correct", "attack"}
    assert plain["n"] == count
    assert bits(plain["correct"])[:count] == correct.int().tolist()
    assert not any(bits(plain["correct"])[count:])
    assert plain["accuracy"] == round(100 * sum(correct.tolist()) / count, 2)
    assert plain["attack"] == ATTACK.plain()


def test_clean_has_no_attack():
    assert Outcome(torch.tensor([True, False, False]), None).plain()["attack"] is None
    assert Outcome(torch.tensor([True, False, False]), None).plain()["accuracy"] == 33.33


def test_union_leaves_what_every_attack_leaves(generator):
    drawn = [torch.rand(count, generator=generator) < 0.7 for count in (9, 7, 9)]
    together = union({str(number): Outcome(correct, ATTACK) for number, correct in enumerate(drawn)})
    assert together.tolist() == [all(bool(correct[image]) for correct in drawn) for image in range(7)]
