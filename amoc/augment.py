"""Random views of a batch of images: tensor operations on the images' device, each image with parameters of its own.

Drawing parameters and applying them are separate, so that the same views can be made again. Which operations run
depends on the settings alone, never on a drawn value, so nothing waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from amoc import settings as kinds
from amoc.colour import blend, luma, turn_hue
from amoc.resampling import affine, gaussian_blur, reflect, resized_crop

Drawn = Mapping[str, Tensor]  # parameter -> one row per image

ASPECT_RATIO = (3 / 4, 4 / 3)  # of RandomResizedCrop
TRIES = 10  # of RandomResizedCrop, before it gives up and takes the whole image


def to_float(pixels: Tensor) -> Tensor:
    """Stored pixels, uint8 (B, H, W, 3), as float32 (B, 3, H, W) in [0, 1], channels_last."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)


class RandomViews:
    """The random views of contrastive learning (SimCLR, Chen et al. 2020; MoCo v2, Chen et al. 2020).

    In this order: resized crop, affine map, colour jitter, grayscale, Gaussian blur, horizontal flip. An operation that
    the settings leave out, or give probability or strength 0, draws nothing and costs nothing.

    Images are (B, 3, size, size) in [0, 1], float32 or float64. Views have the same shape, range and dtype and are
    channels_last.
    """

    def __init__(self, settings: kinds.Views, size: int) -> None:
        self.size = size
        self.operations: list[Operation] = []
        if settings.crop_scale:
            self.operations.append(ResizedCrop(settings.crop_scale, settings.interpolation, size))
        moves = settings.affine
        if moves and (moves.degrees or moves.translate or moves.scale != (1, 1)):
            self.operations.append(Affine(moves, size))
        if settings.jitter and settings.jitter.probability:
            jitter = settings.jitter.model_dump()
            probability = jitter.pop("probability")
            strengths = {name: strength for name, strength in jitter.items() if strength}
            if strengths:
                self.operations.append(Jitter(probability, strengths))
        if settings.grayscale:
            self.operations.append(Grayscale(settings.grayscale))
        if settings.blur and settings.blur.probability:
            self.operations.append(Blur(settings.blur))
        if settings.flip:
            self.operations.append(Flip(settings.flip))

    def compile(self, **options: bool) -> None:
        """Let torch.compile fuse the operations: on a GPU they are many small kernels."""
        self.apply = torch.compile(self.apply, **options)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """One random view of each image."""
        return self.apply(images, self.draw(len(images), generator, images.device))

    def draw(self, count: int, generator: Generator, device: torch.device | str) -> dict[str, Tensor]:
        """Parameters for `count` images, moved to `device`. They are drawn on the generator's own device."""
        drawn: dict[str, Tensor] = {}
        for operation in self.operations:
            drawn |= operation.draw(count, generator)
        return {name: values.to(device) for name, values in drawn.items()}

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        """The views that these parameters describe. Raises ValueError if the images are not (B, 3, size, size)."""
        if images.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"images are {tuple(images.shape)}, expected (B, 3, {self.size}, {self.size})")
        views = images.contiguous()  # colour operations go plane by plane
        with torch.autocast(images.device.type, enabled=False):  # resampling is a matrix product, but not the network's
            for operation in self.operations:
                views = operation.apply(views, drawn)
        return views.contiguous(memory_format=torch.channels_last)


def random_shift(images: Tensor, settings: kinds.Shift, generator: Generator) -> Tensor:
    """The classifier's augmentation: reflect-pad, crop back at a random place, flip with a probability; per image.

    Images (B, C, H, W) of any dtype; the result is of the same shape and dtype, channels_last.
    """
    batch, channels, height, width = images.shape
    offset = torch.randint(2 * settings.pad + 1, (2, batch, 1), generator=generator, device=generator.device)
    top, left = offset.to(images.device) - settings.pad
    flipped = _chance(settings.flip, batch, generator).to(images.device)

    rows = reflect(torch.arange(height, device=images.device) + top, height)  # (B, H): the row that each comes from
    columns = reflect(torch.arange(width, device=images.device) + left, width)  # (B, W)
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    first = torch.arange(batch, device=images.device)[:, None, None] * (height * width)
    source = first + rows[:, :, None] * width + columns[:, None, :]  # (B, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    return pixels.index_select(0, source.flatten()).view(batch, height, width, channels).permute(0, 3, 1, 2)


# ---------------------------------------------------------------- the operations: what they draw, and what it does


@dataclass(frozen=True)
class ResizedCrop:
    """torchvision's RandomResizedCrop: a box of random area and aspect ratio, resized.

    Draws the box in whole pixels: area U(scale) of the image, aspect ratio log-uniform in 3/4 to 4/3, the first of ten
    tries that fits into the image; if none does, the whole image (which is the central crop of a square image).
    """

    scale: tuple[float, float]
    interpolation: Literal["bilinear", "bicubic"]
    size: int

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        area = _uniform(*self.scale, (count, TRIES), generator) * self.size**2
        aspect = _uniform(*map(math.log, ASPECT_RATIO), (count, TRIES), generator).exp()
        width, height = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()  # (B, tries)
        fits = (width > 0) & (width <= self.size) & (height > 0) & (height <= self.size)
        first = fits.to(torch.uint8).argmax(1, keepdim=True)  # of equal maxima the first
        width, height = (torch.where(fits, side, self.size).gather(1, first)[:, 0] for side in (width, height))
        top = (_uniform(0, 1, count, generator) * (self.size - height + 1)).floor()  # 0 .. size - height
        left = (_uniform(0, 1, count, generator) * (self.size - width + 1)).floor()
        box = {"crop_top": top, "crop_left": left, "crop_height": height, "crop_width": width}
        return {name: pixels.long() for name, pixels in box.items()}

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        box = (drawn[f"crop_{name}"] for name in ("top", "left", "height", "width"))
        return resized_crop(images, *box, self.interpolation)


@dataclass(frozen=True)
class Affine:
    """Rotation, zoom and shift.

    Draws degrees U(-degrees, degrees), a shift in x and y of U(-translate, translate) * size pixels, a zoom U(scale).
    """

    settings: kinds.Affine
    size: int

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        degrees, reach = self.settings.degrees, self.settings.translate * self.size
        return {
            "affine_degrees": _uniform(-degrees, degrees, count, generator),
            "affine_shift": _uniform(-reach, reach, (count, 2), generator),
            "affine_zoom": _uniform(*self.settings.scale, count, generator),
        }

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        return affine(images, drawn["affine_degrees"], drawn["affine_shift"], drawn["affine_zoom"])


@dataclass(frozen=True)
class Jitter:
    """torchvision's ColorJitter, with a probability: brightness, contrast, saturation and hue in random order.

    Draws whether it is applied, factors U(1 - s, 1 + s) of the first three, turns U(-s, s) of the hue, and each
    operation's place in the order, a random permutation.
    """

    probability: float
    strengths: dict[str, float]  # operation -> s, without those of strength 0

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        drawn = {"jitter_applied": _chance(self.probability, count, generator)}
        for name, strength in self.strengths.items():
            neutral = 0 if name == "hue" else 1
            drawn[f"jitter_{name}"] = _uniform(neutral - strength, neutral + strength, count, generator)
        drawn["jitter_place"] = _uniform(0, 1, (count, len(self.strengths)), generator).argsort(1)
        return drawn

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        """Each image in its own order, in 2n - 1 steps for all: hue costs most, so it is one step for the whole batch,
        and an image's other operations come before or after it. Who has none in a step blends with factor 1."""
        step_of = drawn["jitter_place"]  # (B, n)
        steps, meeting = len(self.strengths), None
        if "hue" in self.strengths:
            meeting = steps - 1
            hue_place = step_of[:, list(self.strengths).index("hue"), None]
            step_of = step_of + meeting * (step_of > hue_place)
            steps += meeting
        change = {}  # (B, steps): factor - 1 at the operation's step, 0 at the others
        for column, name in enumerate(self.strengths):
            if name != "hue":
                here = step_of[:, column, None] == torch.arange(steps, device=images.device)
                change[name] = (drawn[f"jitter_{name}"].to(images.dtype) - 1)[:, None] * here

        jittered = images
        for step in range(steps):
            if step == meeting:
                jittered = turn_hue(jittered, drawn["jitter_hue"].to(images.dtype))
            else:
                jittered = blend(jittered, **{name: values[:, step] for name, values in change.items()})
        return _choose(drawn["jitter_applied"], jittered, images)


@dataclass(frozen=True)
class Grayscale:
    """All three channels become the luma, with a probability."""

    probability: float

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        return {"grayscale_applied": _chance(self.probability, count, generator)}

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        return _choose(drawn["grayscale_applied"], luma(images), images)


@dataclass(frozen=True)
class Blur:
    """Gaussian blur, with a probability; sigma U(low, high) in pixels. The kernel reaches 3 of the largest sigma."""

    settings: kinds.Blur

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        return {
            "blur_applied": _chance(self.settings.probability, count, generator),
            "blur_sigma": _uniform(*self.settings.sigma, count, generator),
        }

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        blurred = gaussian_blur(images, drawn["blur_sigma"], radius=math.ceil(3 * self.settings.sigma[1]))
        return _choose(drawn["blur_applied"], blurred, images)


@dataclass(frozen=True)
class Flip:
    """Left and right exchanged, with a probability."""

    probability: float

    def draw(self, count: int, generator: Generator) -> dict[str, Tensor]:
        return {"flip_applied": _chance(self.probability, count, generator)}

    def apply(self, images: Tensor, drawn: Drawn) -> Tensor:
        return _choose(drawn["flip_applied"], images.flip(3), images)


Operation = ResizedCrop | Affine | Jitter | Grayscale | Blur | Flip


def _uniform(low: float, high: float, shape: int | tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _chance(probability: float, count: int, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device) < probability


def _choose(chosen: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """`changed` where `chosen` (B,), else `images`: lerp is exact at 0 and 1, and faster than where."""
    return torch.lerp(images, changed.expand_as(images), chosen.to(images.dtype)[:, None, None, None])
