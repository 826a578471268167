from __future__ import annotations

import colorsys
from itertools import product

import pytest
import torch
import torchvision.transforms.functional as torchvision_functional

from amoc.colour import blend, luma, turn_hue

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-6}  # torchvision turns hues in float32


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def images(request, generator):
    """Twenty images of noise."""
    return torch.rand(20, 3, 6, 6, generator=generator, dtype=request.param)


def palette() -> torch.Tensor:
    """All colours of five levels, in a row, float64: greys, black, white, primaries, and every kind of tie."""
    levels = [0.0, 0.25, 0.5, 0.75, 1.0]
    return torch.tensor(list(product(levels, repeat=3)), dtype=torch.float64).T[None, :, None, :]


def test_luma_is_torchvisions(images):
    theirs = torchvision_functional.rgb_to_grayscale(images)
    torch.testing.assert_close(luma(images), theirs, rtol=0, atol=TOLERANCE[images.dtype])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_blend_is_torchvisions(name, images, generator):
    adjust = getattr(torchvision_functional, f"adjust_{name}")
    factors = torch.rand(len(images), generator=generator).to(images.dtype) * 2
    for image, ours, factor in zip(images, blend(images, **{name: factors - 1}), factors.tolist(), strict=True):
        torch.testing.assert_close(ours, adjust(image, factor), rtol=0, atol=TOLERANCE[images.dtype])


def test_blend_does_one_of_three(images, generator):
    """In turn brightness, contrast, saturation, and nothing at all, which leaves the image as it is to the bit."""
    names = ("brightness", "contrast", "saturation")
    factors = torch.rand(len(images), generator=generator).to(images.dtype) * 2
    which = torch.arange(len(images)) % 4
    changes = {name: torch.where(which == number, factors - 1, 0) for number, name in enumerate(names)}
    for number, image, ours, factor in zip(which, images, blend(images, **changes), factors.tolist(), strict=True):
        if number == 3:
            assert torch.equal(ours, image)
        else:
            theirs = getattr(torchvision_functional, f"adjust_{names[number]}")(image, factor)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE[images.dtype])


def test_turn_hue_is_torchvisions(images, generator):
    turns = torch.rand(len(images), generator=generator).to(images.dtype) - 0.5
    for image, ours, turn in zip(images, turn_hue(images, turns), turns.tolist(), strict=True):
        torch.testing.assert_close(ours, torchvision_functional.adjust_hue(image, turn), rtol=0, atol=1e-5)


@pytest.mark.parametrize("turn", [-0.5, -1 / 3, -0.1, 0.0, 1e-9, 0.05, 1 / 6, 0.5])
def test_turn_hue_is_the_standard_librarys(turn):
    colours = palette()
    turned = turn_hue(colours, torch.tensor([turn], dtype=torch.float64))
    for ours, colour in zip(turned[0, :, 0].T.tolist(), colours[0, :, 0].T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        assert ours == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-7)


def test_turn_hue_stays_finite_next_to_grey():
    """The smallest differences between channels, of which one is not even normal."""
    for dtype in (torch.float32, torch.float64):
        tiny = torch.finfo(dtype).tiny
        images = torch.tensor([[0.0, tiny / 4, tiny], [0.0, 0.0, tiny / 4], [1.0, 1.0, 1 - 2**-23]], dtype=dtype)
        turned = turn_hue(images[:, :, None, None], torch.full((3,), 0.3, dtype=dtype)).flatten(1)
        assert turned.isfinite().all()
        torch.testing.assert_close(turned.amax(1), images.amax(1))
