"""Linear maps of a batch of images in space, each image with parameters of its own: what torchvision computes for one
image, over the batch at once. Images are (B, C, size, size) in [0, 1], and so are the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def resized_crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    interpolation: Literal["bilinear", "bicubic"],
) -> Tensor:
    """The box of whole pixels at (top, left) of (height, width), all (B,), resized to the size of the image.

    torchvision's `resized_crop` with antialiasing. As a box is never larger than the result, that widens no kernel; it
    only decides which bicubic kernel, and what happens at the box's border.
    """
    kernel = {"bilinear": _triangle, "bicubic": _cubic}[interpolation]
    rows = _resizing(top.to(images.dtype), height.to(images.dtype), images.shape[2], kernel)
    columns = _resizing(left.to(images.dtype), width.to(images.dtype), images.shape[3], kernel)
    return _separable(images, rows, columns)


def affine(images: Tensor, degrees: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    """Rotation about the centre by degrees (B,), clockwise, and zoom (B,), then a shift in x and y by pixels (B, 2).

    Bilinear, zeros outside. torchvision's `affine` without shear.
    """
    angle, zoom = degrees.to(images.dtype).deg2rad(), zoom.to(images.dtype)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    inverse = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)  # from the result's coordinates to the image's
    offset = inverse @ shift.to(images.dtype)[:, :, None] * (2 / images.shape[3])  # an image spans -1 to 1
    grid = F.affine_grid(torch.cat([inverse, -offset], 2), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.clamp_(0, 1)  # the four weights of a pixel sum to 1 but for rounding


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Normalised Gaussian of sigma (B,) pixels, cut off at `radius` pixels; images are reflected at the border.

    torchvision's `gaussian_blur` with kernel size 2 * radius + 1, but here the radius may exceed the image.
    """
    size = images.shape[3]
    offset = torch.arange(-radius, radius + 1, device=images.device)
    taps = torch.exp(-0.5 * (offset / sigma.to(images.dtype)[:, None]) ** 2)
    taps = taps / taps.sum(1, keepdim=True)  # (B, offsets)
    pixel = torch.arange(size, device=images.device)
    source = reflect(offset[:, None] + pixel, size)  # (offsets, size): the pixel that a tap falls on
    landing = (source[:, :, None] == pixel).to(images.dtype)  # (offsets, size, size)
    matrix = (taps @ landing.flatten(1)).view(-1, size, size)
    return _separable(images, matrix, matrix)


def reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0 .. size - 1, reflected into it without repeating the border pixel."""
    last = size - 1
    return last - (last - index.remainder(max(2 * last, 1))).abs()


def _separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows (B, H, H) @ each channel @ columns^T (B, W, W), clamped: bicubic kernels overshoot, and weights round."""
    return (rows[:, None] @ images @ columns[:, None].mT).clamp_(0, 1)


def _resizing(start: Tensor, length: Tensor, size: int, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """(B, size, size): row i holds the weights of the image's pixels in pixel i of the result.

    The weight that a kernel loses outside the box is given to the pixels inside, as in Pillow.
    """
    pixel = torch.arange(size, device=start.device, dtype=start.dtype)
    start, length = start[:, None], length[:, None]
    centre = start + (pixel + 0.5) * (length / size)  # (B, size): of the result's pixels, in coordinates of the image
    weights = kernel((pixel + 0.5) - centre[:, :, None])
    weights = weights * ((pixel >= start) & (pixel < start + length))[:, None, :]
    return weights / weights.sum(2, keepdim=True)


def _triangle(x: Tensor) -> Tensor:
    """Bilinear interpolation."""
    return (1 - x.abs()).clamp_(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Bicubic interpolation with a = -1/2 (Keys 1981), which Pillow and torch's antialiased resize use."""
    x = x.abs().clamp_(max=2)  # where the kernel reaches 0
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far)
