"""The images: scikit-learn's digits or CIFAR -> uint8 arrays and labels, one file per profile and data set.

Pixels stay 0..255 on disk; `amoc.augment.to_float` makes them [0, 1], and only the model normalises.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from amoc.engine.files import write_atomically
from amoc.refusal import Refusal
from amoc.settings import SOURCES, Data

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

Channels = tuple[float, float, float]

FOLDER_VARIABLE = "AMOC_DATA_DIR"  # names the folder that holds CIFAR's archives, extracted or not

# title, mean and standard deviation per channel, pixels in [0, 1]: of the digits' training split; of CIFAR those of the
# official code, which are within 0.0003 of its training split's
_DIGITS: tuple[str, Channels, Channels] = ("scikit-learn's digits", (0.3054,) * 3, (0.3760,) * 3)
_CIFAR: dict[str, tuple[str, Channels, Channels]] = {
    "cifar10": ("CIFAR-10", (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617)),
    "cifar100": ("CIFAR-100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
NAMES = tuple(_CIFAR)


def archives() -> Path | None:
    """The folder with the archives, where AMOC_DATA_DIR names one."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else None


@dataclass(frozen=True, eq=False)
class Images:
    """pixels: uint8 (N, height, width, 3), 0..255. labels: int64 (N,), 0..classes - 1."""

    pixels: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as a profile uses it. `name` is its role (cifar10, cifar100); `source` says which images play it.

    mean, std: per channel, of pixels in [0, 1], by which the encoder normalises images. label_names: one per class.
    """

    name: str
    source: str
    train: Images
    test: Images
    classes: int
    mean: Channels
    std: Channels
    label_names: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """Which images these are: always the first so many of a source's fixed order."""
        title = _CIFAR[self.name][0]
        if self.source == "digits":
            title = _DIGITS[0] + (", every second one turned and of a class of its own" if self.classes > 10 else "")
        return f"the first {len(self.train.labels)} training and {len(self.test.labels)} test images of {title}"


def build(name: str, settings: Data, folder: Path | None, cache: Path) -> Dataset:
    """Make the data set that plays the role `name` ("cifar10" or "cifar100") from `settings.source`.

    folder: where CIFAR's archives lie, extracted or as .tar.gz ($AMOC_DATA_DIR); None: nowhere.
    cache: where they are looked for next and downloaded to. The digits ship with scikit-learn and need neither.
    Raises Refusal for an unknown name, for more images than there are, and for missing, truncated or altered archives.
    """
    if name not in NAMES:
        raise Refusal(f"the data set is {name!r}, allowed is one of {', '.join(NAMES)}")
    if settings.source == "digits":
        title, mean, std = _DIGITS
        train, test, label_names = _digits()
        if name == "cifar100":
            train, test = _turned(train), _turned(test)
            label_names += tuple(f"{digit} turned" for digit in label_names)
    else:
        title, mean, std = _CIFAR[name]
        train, test, label_names = _cifar(name, folder, cache)
    return Dataset(
        name=name,
        source=settings.source,
        train=_first(train, settings.train, f"training images of {title}", "data.train"),
        test=_first(test, settings.test, f"test images of {title}", "data.test"),
        classes=len(label_names),
        mean=mean,
        std=std,
        label_names=label_names,
    )


def _first(images: Images, count: int | None, what: str, key: str) -> Images:
    if count is None:
        return images
    if count > len(images.labels):
        raise Refusal(f"{key} is {count}, allowed is at most {len(images.labels)}, the {what}, or null for all of them")
    return Images(images.pixels[:count], images.labels[:count])


# ---------------------------------------------------------------- digits


def _digits() -> tuple[Images, Images, tuple[str, ...]]:
    """The 1797 digits, 8x8, grey repeated to three channels: 1437 to train and 360 to test.

    The split is one stratified shuffle with seed 0 and never changes: no setting reaches it.
    """
    from sklearn.datasets import load_digits  # a second to import; whoever only reads a file does without
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    grey = (digits.images.astype(np.int64) * 255 + 8) // 16  # 0..16 -> 0..255, rounded
    pixels = np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=-1)  # (N, 8, 8, 3)
    labels = digits.target.astype(np.int64)
    order = np.arange(len(labels))
    train, test = train_test_split(order, test_size=SOURCES["digits"].test, stratify=labels, random_state=0)
    return Images(pixels[train], labels[train]), Images(pixels[test], labels[test]), tuple("0123456789")


def _turned(digits: Images) -> Images:
    """Every second image turned a quarter to the left, its label + 10: half the images for each of twice the classes.

    What CIFAR-100 is to CIFAR-10, on a small scale. The pixels have the same mean and deviation.
    """
    pixels, labels = digits.pixels.copy(), digits.labels.copy()
    pixels[1::2] = np.rot90(pixels[1::2], axes=(1, 2))
    labels[1::2] += 10
    return Images(pixels, labels)


# ---------------------------------------------------------------- CIFAR


def _cifar(name: str, folder: Path | None, cache: Path) -> tuple[Images, Images, tuple[str, ...]]:
    """Both splits in the official order, with CIFAR-100's fine labels."""
    if folder is not None and not folder.is_dir():
        raise Refusal(f"{FOLDER_VARIABLE} is {folder}, which is not a folder")
    from torchvision.datasets import CIFAR10, CIFAR100  # for the md5 tables; brings torch, which the digits do without

    archive = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    files = _files(archive, folder, cache)

    def unpickled(file: str) -> dict:
        return pickle.loads(files[file], encoding="latin1")  # the published bytes: their md5 was checked

    def images(table: list[list[str]]) -> Images:
        batches = [unpickled(file) for file, _ in table]
        planar = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = [batch["labels" if "labels" in batch else "fine_labels"] for batch in batches]
        return Images(np.ascontiguousarray(planar.transpose(0, 2, 3, 1)), np.concatenate(labels).astype(np.int64))

    label_names = unpickled(archive.meta["filename"])[archive.meta["key"]]
    return images(archive.train_list), images(archive.test_list), tuple(label_names)


def _files(archive: type[CIFAR10], folder: Path | None, cache: Path) -> dict[str, bytes]:
    """The archive's files by name, intact: from `folder`, else from `cache`, else downloaded into `cache`."""
    published = dict([*archive.train_list, *archive.test_list, (archive.meta["filename"], archive.meta["md5"])])
    places = [cache] if folder is None else [folder, cache]
    for place in places:
        extracted, packed = place / archive.base_folder, place / archive.filename
        if extracted.is_dir():
            return {file: _intact(_content(extracted / file), md5, extracted / file) for file, md5 in published.items()}
        if packed.is_file():
            return _unpacked(archive, _intact(_content(packed), archive.tgz_md5, packed), published)
    return _unpacked(archive, _downloaded(archive, places), published)


def _unpacked(archive: type[CIFAR10], content: bytes, files: Iterable[str]) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as packed:
        return {file: packed.extractfile(f"{archive.base_folder}/{file}").read() for file in files}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Refusal(f"{path} is missing: its archive was not extracted completely") from None
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from None


def _intact(content: bytes, md5: str, where: Path | str) -> bytes:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise Refusal(f"{where} is truncated or altered: its md5 is {found}, that of the published file is {md5}")
    return content


def _downloaded(archive: type[CIFAR10], places: list[Path]) -> bytes:
    """The packed archive, kept in the last of `places` once it is whole."""
    try:
        with (
            urlopen(archive.url, timeout=30) as response,  # a network that swallows packets must not hang the pipeline
            tqdm.wrapattr(response, "read", response.length, desc=archive.filename, disable=None) as stream,
        ):
            content = b"".join(iter(partial(stream.read, 1 << 20), b""))
    except (OSError, HTTPException) as error:
        raise Refusal(
            f"{archive.base_folder} is not in {' nor in '.join(map(str, places))}, and {archive.url} cannot be "
            f"fetched ({getattr(error, 'reason', error)}): set {FOLDER_VARIABLE} to a folder that holds "
            f"{archive.base_folder} or {archive.filename}"
        ) from None
    _intact(content, archive.tgz_md5, f"what {archive.url} returned")
    write_atomically(places[-1] / archive.filename, content)
    return content


# ---------------------------------------------------------------- the file

_TENSORS = ("train_pixels", "train_labels", "test_pixels", "test_labels")


def write(dataset: Dataset, path: Path) -> None:
    """Write one safetensors file, the same bytes for the same data set. Raises Refusal if the disk is full.

    One tensor for each of _TENSORS; one metadata key, "amoc", with sorted JSON: several would come in random order.
    """
    images = (dataset.train.pixels, dataset.train.labels, dataset.test.pixels, dataset.test.labels)
    arrays = dict(zip(_TENSORS, images, strict=True))
    facts = {
        "name": dataset.name,
        "source": dataset.source,
        "classes": dataset.classes,
        "mean": dataset.mean,
        "std": dataset.std,
        "label_names": dataset.label_names,
        "provenance": dataset.provenance,
    }
    facts["md5"] = _digest(arrays, facts)
    write_atomically(path, save(arrays, {"amoc": json.dumps(facts, sort_keys=True)}))


def read(path: Path) -> Dataset:
    """Read a file of `write`. Raises Refusal if it is missing, truncated, altered or holds no data set."""
    command = f"`python -m stages.data {path.parent.name} {path.stem}`"  # the file is data/<profile>/<dataset>
    foreign = Refusal(f"{path} holds no data set: {command} makes one")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if set(file.keys()) != set(_TENSORS) or "amoc" not in metadata:
                raise foreign
            arrays = {key: file.get_tensor(key) for key in _TENSORS}
    except FileNotFoundError:
        raise Refusal(f"{path} is missing: {command} makes it") from None
    except (SafetensorError, OSError) as error:
        raise Refusal(f"{path} is truncated or no safetensors file ({error}): remove it and make it again") from None
    try:
        facts = json.loads(metadata["amoc"])
        md5 = facts.pop("md5")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise foreign from None
    if md5 != _digest(arrays, facts):
        raise Refusal(f"{path} was altered after it was written: remove it and make it again")
    return Dataset(
        name=facts["name"],
        source=facts["source"],
        train=Images(arrays["train_pixels"], arrays["train_labels"]),
        test=Images(arrays["test_pixels"], arrays["test_labels"]),
        classes=facts["classes"],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        label_names=tuple(facts["label_names"]),
    )


def _digest(arrays: dict[str, np.ndarray], facts: dict) -> str:
    """md5 of the file's content without its own md5: safetensors notices a cut, but not a changed byte."""
    md5 = hashlib.md5(json.dumps(facts, sort_keys=True).encode(), usedforsecurity=False)
    for key in _TENSORS:
        md5.update(np.ascontiguousarray(arrays[key]))
    return md5.hexdigest()
