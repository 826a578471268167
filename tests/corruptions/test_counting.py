"""Counting, image by image and severity by severity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from amoc.corruptions.catalogue import OURS, SEVERITIES, corrupt
from amoc.corruptions.counting import count
from amoc.corruptions.fingerprint import features, head
from amoc.corruptions.source import Regenerated
from tests.corruptions.conftest import smooth_images

CPU = torch.device("cpu")
IMAGES, LABELS = smooth_images(11, 8), np.arange(11) % 3  # not the same in each batch
HEADS = {"one": head(0.0), "other": head(1.0)}


class Few(Regenerated):
    """Three corruptions, and what was asked for."""

    names = ("fog", "contrast", "frost_procedural")

    def __init__(self) -> None:
        super().__init__(IMAGES, seed=2)
        self.asked: list[str] = []

    def images(self, name: str, severity: int, numbers: range) -> np.ndarray:
        self.asked.append(name)
        return super().images(name, severity, numbers)


def counted(source: Few, **options):
    return count(features, HEADS, IMAGES, LABELS, source, batch_size=4, device=CPU, **options)


def test_each_image_is_counted_under_each_head():
    found = counted(Few())
    for name, linear in HEADS.items():
        assert list(found[name]) == ["clean", *Few.names]
        for corruption, numbers in found[name].items():
            severities = SEVERITIES if corruption != "clean" else (None,)
            expected = []
            for severity in severities:
                right = 0
                for number, label in enumerate(LABELS):
                    image = IMAGES[[number]]
                    if severity:
                        image = corrupt(image, corruption, severity, [number], seed=2)
                    logits = linear(features(torch.from_numpy(image).permute(0, 3, 1, 2) / 255))
                    right += int(logits.argmax()) == label
                expected.append(right)
            assert numbers == expected, (name, corruption)
    assert found["one"] != found["other"]


def test_the_batch_size_does_not_matter():
    assert counted(Few()) == count(features, HEADS, IMAGES, LABELS, Few(), batch_size=11, device=CPU)


def test_a_head_that_was_left_out_before_an_interruption_stays_out():
    saved = {"one": {"clean": counted(Few())["one"]["clean"]}}
    assert counted(Few(), saved=saved) == {"one": counted(Few())["one"]}


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_it_goes_on_after_the_corruption_that_was_saved_last(after):
    class Stopped(Exception):
        pass

    saved = []

    def save(reached):
        saved.append(reached)
        if len(saved) == after:
            raise Stopped

    with pytest.raises(Stopped):
        counted(Few(), save=save)
    source = Few()
    assert counted(source, saved=saved[-1]) == counted(Few())
    assert set(source.asked) == set(Few.names[after - 1 :])


class Breaks(nn.Linear):
    """A head whose logits are finite for the clean images alone."""

    asked = 0

    def forward(self, found):
        self.asked += 1
        return super().forward(found) * (1 if self.asked <= 3 else torch.nan)


def test_a_head_whose_logits_are_not_finite_is_left_out_and_the_others_are_counted():
    broken = nn.Linear(12, 4)
    nn.init.constant_(broken.bias, float("nan"))
    saved = []
    heads = {"bad": broken, **HEADS, "later": Breaks(12, 4)}
    assert count(features, heads, IMAGES, LABELS, Few(), batch_size=4, device=CPU, save=saved.append) == counted(Few())
    assert [set(reached) for reached in saved] == [{*HEADS, "later"}, *[set(HEADS)] * len(Few.names)]
    heads["later"] = Breaks(12, 4)
    again = count(features, heads, IMAGES, LABELS, Few(), batch_size=4, device=CPU, saved=saved[1])
    assert again == counted(Few())


def test_where_no_head_has_finite_logits_nothing_is_counted():
    broken = nn.Linear(12, 4)
    nn.init.constant_(broken.bias, float("nan"))
    source = Few()
    assert count(features, {"bad": broken}, IMAGES, LABELS, source, batch_size=4, device=CPU) == {}
    assert source.asked == []


def test_all_corruptions_are_counted_of_images_made_anew():
    found = count(features, HEADS, IMAGES, LABELS, Regenerated(IMAGES, 1), batch_size=11, device=CPU)
    assert list(found["one"]) == ["clean", *OURS] and all(len(found["one"][name]) == 5 for name in OURS)
