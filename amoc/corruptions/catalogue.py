"""The corruptions of CIFAR-10-C (Hendrycks & Dietterich, 2019), made anew from test images.

Each is a function of its family's module, with the constants that the authors' make_cifar_c.py has for CIFAR. Their
random numbers cannot be had again: these images are of the same distribution and not the same images. What they did
with scikit-image, OpenCV and ImageMagick is done here with NumPy and SciPy, for a whole batch; each module says where
that is not exactly the same. Lengths that were published in pixels stay so for images of other sizes: a blur of one
pixel takes as much detail from 8x8 pixels as from 32x32. Zooms, the elastic distortion and pixelation go by the size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from amoc.corruptions import blur, digital, elastic, noise, tone, weather
from amoc.corruptions.spatter import spatter
from amoc.corruptions.streams import Streams

Corruption = Callable[[np.ndarray, int, Streams], np.ndarray]

SEVERITIES = (1, 2, 3, 4, 5)
OURS: dict[str, Corruption] = {  # in the published order, the common 15 first
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost_procedural": weather.frost_procedural,  # in the place of frost
    "fog": weather.fog,
    "brightness": tone.brightness,
    "contrast": tone.contrast,
    "elastic_transform": elastic.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "spatter": spatter,
    "saturate": tone.saturate,
}
PUBLISHED = tuple(name.removesuffix("_procedural") for name in OURS)


def corrupt(images: np.ndarray, name: str, severity: int, numbers: Sequence[int], seed: int) -> np.ndarray:
    """Images with one corruption, bit for bit the same in whatever batch and order.

    Args:
        images: uint8 (N, size, size, 3); unchanged.
        name: a key of OURS.
        severity: 1 ... 5.
        numbers: of the N images in the test split: each has random numbers of its own.

    Returns:
        uint8 (N, size, size, 3).

    Raises:
        ValueError: images of another kind, or a severity that there is not.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (images.shape[1], images.shape[1], 3):
        raise ValueError(f"images must be uint8 (N, size, size, 3), got {images.dtype} {images.shape}")
    if severity not in SEVERITIES:
        raise ValueError(f"the severity is {severity}, allowed is one of {', '.join(map(str, SEVERITIES))}")
    return OURS[name](images, severity, Streams(seed, name, severity, numbers=numbers))
