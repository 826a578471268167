from __future__ import annotations

import pytest
import torch
from torch import nn

from amoc.evaluating.sparing import AllSettled, Sparing


class Counting(nn.Module):
    """Logits (x, 1) of images of one pixel; notes which images it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[float]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = images.flatten(1).squeeze(1)
        self.asked.append(values.tolist())
        return torch.stack([values, torch.ones_like(values)], dim=1)


def pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_a_settled_image_is_not_asked_about_again():
    model, truth, images = Counting(), torch.tensor([1, 0, 1]), pixels(0, 2, 0)
    spared = Sparing(model, images, lambda _, logits, rows: logits.argmax(dim=1) != truth[rows])
    versions = [pixels(0.5, 1.5, 3), pixels(0.25, 0.5, 0), pixels(7, 9, 9)]
    assert [spared(version)[:, 0].tolist() for version in versions] == [[0.5, 1.5, 3], [0.25, 0.5, 3], [7, 0.5, 3]]
    assert model.asked == [[0.5, 1.5, 3], [0.25, 0.5], [7]]
    assert spared.settled.all() and spared.found.flatten().tolist() == [7, 0.5, 3]
    with pytest.raises(AllSettled):
        spared(versions[0])
    assert not spared.training
    assert images.flatten().tolist() == [0, 2, 0]


def test_gradients_are_those_of_the_images_that_are_asked_about():
    spared = Sparing(Counting(), pixels(1, 1, 1), lambda versions, *_: versions.flatten() > 5)
    spared(pixels(6, 1, 1))
    versions = pixels(2, 3, 4).requires_grad_()
    spared(versions).sum().backward()
    assert versions.grad.flatten().tolist() == [0, 1, 1]
    assert not spared.found.requires_grad and spared.found.flatten().tolist() == [6, 1, 1]
