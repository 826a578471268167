"""Colour operations on a batch of images, each image with parameters of its own: what torchvision computes for one
image, over the batch at once. Images are (B, 3, H, W) in [0, 1], and so are the results. Planes are fastest."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, with torchvision's digits


def luma(images: Tensor) -> Tensor:
    """Grey value of each pixel, (B, 1, H, W)."""
    red, green, blue = images.split(1, 1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def blend(
    images: Tensor, brightness: Tensor | None = None, contrast: Tensor | None = None, saturation: Tensor | None = None
) -> Tensor:
    """factor * image + (1 - factor) * other, clamped to [0, 1]; other is black for brightness, the mean of the image's
    luma for contrast, the luma for saturation.

    Given is factor - 1, (B,). At most one of an image's three may differ from 0; where none does, it stays as it is.
    """
    changes = [change for change in (brightness, contrast, saturation) if change is not None]
    blended = images * (1 + sum(changes))[:, None, None, None]
    if contrast is not None or saturation is not None:
        grey = luma(images)
        if contrast is not None:
            blended -= contrast[:, None, None, None] * grey.mean((2, 3), keepdim=True)
        if saturation is not None:
            blended -= saturation[:, None, None, None] * grey
    return blended.clamp_(0, 1)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """RGB to HSV, hue + turns (B,), and back.

    Value and saturation stay, so all that is computed is the place on the colour hexagon: 0 is red, 1 yellow, 2 green,
    3 cyan, 4 blue, 5 magenta.
    """
    red, green, blue = images.unbind(1)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    chroma = torch.maximum(torch.maximum(red, green), blue).sub_(lowest)
    per_chroma = chroma.clamp(min=torch.finfo(images.dtype).tiny).reciprocal_()  # a grey has no hue: any will do
    # With r = (red - lowest) / chroma and d = |green - blue| / chroma, the distance from red along the hexagon is
    # d where red is highest (r = 1), 2 - r where it is between (d = 1) and 3 - d where it is lowest (r = 0).
    r = (red - lowest).mul_(per_chroma)
    d = (green - blue).abs_().mul_(per_chroma)
    distance = (3 - 2 * d).mul_(1 - r).add_(d)
    hue = torch.copysign(distance, green - blue).add_(6 * turns[:, None, None])
    hue.sub_((hue / 6).floor_(), alpha=6)
    above_lowest = torch.stack([(hue - 3).abs_() - 1, 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()], 1)  # per chroma
    return above_lowest.clamp_(0, 1).mul_(chroma[:, None]).add_(lowest[:, None]).clamp_(0, 1)
