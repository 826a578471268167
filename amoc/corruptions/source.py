"""Where a data set's corrupted test images come from: the published files, else made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from amoc.corruptions.catalogue import OURS, PUBLISHED, SEVERITIES, corrupt
from amoc.datasets import FOLDER_VARIABLE, Dataset
from amoc.refusal import Refusal

Kind = Literal["official", "regenerated"]

FOLDERS = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}
_IMAGES = 10_000  # of each severity, one severity after the other


class Source(Protocol):
    """The corruptions that there are, and their images."""

    kind: Kind
    names: tuple[str, ...]

    def images(self, name: str, severity: int, numbers: range) -> np.ndarray:
        """The test images with these numbers, uint8 (N, H, W, 3), with a corruption of a severity 1 ... 5."""


class Official:
    """The published files, of which the first test images of a profile are used."""

    kind: Kind = "official"
    names = PUBLISHED

    def __init__(self, folder: Path, labels: np.ndarray) -> None:
        """labels: int64 (n,), of the test images. Raises Refusal if a file is missing or is not of these images."""
        published = _array(folder / "labels.npy", (len(SEVERITIES) * _IMAGES,))
        for severity in SEVERITIES:
            first = (severity - 1) * _IMAGES
            if not np.array_equal(published[first : first + len(labels)], labels):
                raise Refusal(f"{folder / 'labels.npy'} has other labels than the test images: it is of other images")
        shape = (len(SEVERITIES) * _IMAGES, 32, 32, 3)
        self._files = {name: _array(folder / f"{name}.npy", shape) for name in self.names}

    def images(self, name: str, severity: int, numbers: range) -> np.ndarray:
        first = (severity - 1) * _IMAGES
        return np.array(self._files[name][first + numbers.start : first + numbers.stop])


class Regenerated:
    """Made from the test images by `catalogue.corrupt`; in the place of frost there is another one."""

    kind: Kind = "regenerated"
    names = tuple(OURS)

    def __init__(self, pixels: np.ndarray, seed: int) -> None:
        """pixels: uint8 (N, size, size, 3), all test images. seed: of what is drawn."""
        self._pixels, self._seed = pixels, seed

    def images(self, name: str, severity: int, numbers: range) -> np.ndarray:
        return corrupt(self._pixels[numbers.start : numbers.stop], name, severity, numbers, self._seed)


def find(data: Dataset, folder: Path | None, seed: int) -> Source:
    """The published files if `folder` ($AMOC_DATA_DIR) has them and the images are CIFAR's; else made anew.

    Raises:
        Refusal: the files are there, but not all of them, or they are not of the test images.
    """
    published = None if folder is None else folder / FOLDERS[data.name]
    if data.source == "cifar" and published is not None and published.is_dir():
        return Official(published, data.test.labels)
    return Regenerated(data.test.pixels, seed)


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A file of whole numbers that stays on the disk until it is read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise Refusal(
            f"{path} is missing: extract the published archive completely, or remove {path.parent} "
            f"from {FOLDER_VARIABLE}, and the images are made anew"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise Refusal(f"{path} is truncated or no NumPy file ({error}): extract the published archive again") from None
    if array.shape != shape or array.dtype.kind not in "ui" or (len(shape) > 1 and array.dtype != np.uint8):
        raise Refusal(f"{path} holds {array.dtype} {array.shape}, the published file uint8 {shape}: extract it again")
    return array
