"""The 19 corruptions of CIFAR-10-C (Hendrycks and Dietterich, 2019)."""

from __future__ import annotations

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    *("speckle_noise", "gaussian_blur", "spatter", "saturate"),
)
COMMON = 15  # the first so many; the published means are over these, the other four are extra
WITHOUT_FROST = tuple(name for name in CORRUPTIONS if name != "frost")  # whose published textures may be lacking
