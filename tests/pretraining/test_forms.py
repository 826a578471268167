"""The forms are those of the paper's figure."""

from __future__ import annotations

from amoc.pretraining.forms import FORMS


def test_forms():
    """Dual stream: standard to standard and adversarial to adversarial; the other two have a single stream."""
    assert FORMS == {
        "ds": (("clean", "clean"), ("adv", "adv")), "a2s": (("clean", "adv"),), "a2a": (("adv", "adv"),),
    }  # fmt: skip


def test_the_pair_that_is_attacked_has_what_can_be_perturbed():
    assert all("adv" in pairs[-1] for pairs in FORMS.values())
