from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as torchvision_functional
from PIL import Image
from torchvision.datasets import CIFAR10
from torchvision.transforms import InterpolationMode

from amoc.resampling import affine, gaussian_blur, reflect, resized_crop

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def boxes(count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Boxes of any shape that fit, as rows of top, left, height, width; among them the whole image, a pixel, a line."""
    low, high = torch.randint(size, (2, count, 2), generator=generator).sort(0).values
    low[0], high[0] = torch.tensor([0, 0]), torch.tensor([size - 1, size - 1])
    low[1], high[1] = torch.tensor([size - 1, 0]), torch.tensor([size - 1, 0])
    low[2], high[2] = torch.tensor([2, 0]), torch.tensor([2, size - 1])
    return torch.cat([low, high - low + 1], 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_crop_is_torchvisions(interpolation, size, dtype, generator):
    images = torch.rand(40, 3, size, size, generator=generator, dtype=dtype)
    box = boxes(40, size, generator)
    cropped = resized_crop(images, *box.unbind(1), interpolation)
    for image, ours, parameters in zip(images, cropped, box.tolist(), strict=True):
        theirs = torchvision_functional.resized_crop(
            image, *parameters, [size, size], InterpolationMode(interpolation), antialias=True
        )
        torch.testing.assert_close(ours, theirs.clamp(0, 1), rtol=0, atol=TOLERANCE[dtype])


def assert_as_pillow(pixels: np.ndarray, interpolation: str, generator: torch.Generator) -> None:
    """Pillow rounds to whole levels after each of its two passes, so it may be a level or two off. It also clips there,
    which in rare pixels is seen: bicubic passes overshoot. Half the contrast leaves them room."""
    if interpolation == "bicubic":
        pixels = pixels // 2 + 64
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    box = boxes(len(pixels), 32, generator)
    cropped = resized_crop(images, *box.unbind(1), interpolation)
    for image, ours, parameters in zip(pixels, cropped, box.tolist(), strict=True):
        mode = InterpolationMode(interpolation)
        theirs = torchvision_functional.resized_crop(Image.fromarray(image), *parameters, [32, 32], mode)
        difference = ours.permute(1, 2, 0).numpy() - np.asarray(theirs) / 255
        assert np.abs(difference).max() <= 2 / 255


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_crop_is_pillows_on_noise(interpolation, generator):
    pixels = torch.randint(256, (100, 32, 32, 3), generator=generator, dtype=torch.uint8)
    assert_as_pillow(pixels.numpy(), interpolation, generator)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_crop_is_pillows_on_cifar(interpolation, cifar_dir, generator):
    assert_as_pillow(CIFAR10(cifar_dir, train=False).data[:300], interpolation, generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [8, 32])
def test_affine_is_torchvisions(size, dtype, generator):
    images = torch.rand(30, 3, size, size, generator=generator, dtype=dtype)
    degrees = torch.rand(30, generator=generator) * 360 - 180
    shift = (torch.rand(30, 2, generator=generator) - 0.5) * size
    zoom = torch.rand(30, generator=generator) * 1.5 + 0.5
    moved = affine(images, degrees, shift, zoom)
    for image, ours, *parameters in zip(images, moved, degrees, shift, zoom, strict=True):
        angle, translate, scale = (parameter.tolist() for parameter in parameters)
        theirs = torchvision_functional.affine(image, angle, translate, scale, [0.0], InterpolationMode.BILINEAR)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-5)


def test_affine_by_hand():
    """A quarter turn clockwise takes the top right pixel to the bottom right; then one pixel to the left."""
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 0, 3] = 1
    moved = affine(images, torch.tensor([90.0]), torch.tensor([[-1.0, 0.0]]), torch.ones(1))
    expected = torch.zeros(4, 4)
    expected[3, 2] = 1
    torch.testing.assert_close(moved[0, 0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [8, 32])
def test_gaussian_blur_is_torchvisions(size, dtype, generator):
    images = torch.rand(30, 3, size, size, generator=generator, dtype=dtype)
    sigma = torch.rand(30, generator=generator) * 1.9 + 0.1
    for image, ours, one in zip(images, gaussian_blur(images, sigma, radius=6), sigma.tolist(), strict=True):
        theirs = torchvision_functional.gaussian_blur(image, [13, 13], [one, one])
        torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE[dtype])


def test_a_kernel_wider_than_the_image_reflects_again(generator):
    image = torch.rand(5, 5, generator=generator, dtype=torch.float64)
    padded = np.pad(image.numpy(), 9, mode="reflect")
    taps = np.exp(-0.5 * (np.arange(-9, 10) / 3) ** 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    expected = [[(padded[i : i + 19, j : j + 19] * kernel).sum() for j in range(5)] for i in range(5)]
    blurred = gaussian_blur(image[None, None], torch.tensor([3.0]), radius=9)
    np.testing.assert_allclose(blurred[0, 0].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_reflect_is_numpys(size):
    index = torch.arange(-20, size + 20)
    assert reflect(index, size).tolist() == np.pad(np.arange(size), 20, mode="reflect").tolist()
