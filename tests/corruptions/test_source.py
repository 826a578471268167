"""The published files, as they might lie in $AMOC_DATA_DIR: stand-ins, and what may be wrong with them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amoc.corruptions.catalogue import OURS, PUBLISHED, corrupt
from amoc.corruptions.source import find
from amoc.datasets import Dataset, Images
from amoc.refusal import Refusal
from tests.corruptions.conftest import smooth_images

COUNT = 5
LABELS = np.array([3, 8, 8, 0, 6])


@pytest.fixture
def data() -> Dataset:
    test = Images(smooth_images(COUNT, 32), LABELS)
    return Dataset("cifar10", "cifar", test, test, 10, (0.5,) * 3, (0.2,) * 3, tuple("abcdefghij"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published names and shapes; of each file only the first test images are written."""
    folder = tmp_path_factory.mktemp("published") / "CIFAR-10-C"
    folder.mkdir()
    labels = np.zeros((5, 10_000), np.uint8)
    labels[:, :COUNT] = LABELS
    np.save(folder / "labels.npy", labels.ravel())
    for place, name in enumerate(PUBLISHED):
        shape = (50_000, 32, 32, 3)  # sparse: what is not written takes no room
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
        for severity in range(5):
            for image in range(COUNT):
                array[10_000 * severity + image, 0, 0] = (place, severity, image)
    return folder.parent


def test_the_published_files_are_used_where_they_are(data, published):
    source = find(data, published, seed=1)
    assert (source.kind, source.names) == ("official", PUBLISHED)
    for name, severity, numbers in (("fog", 1, range(0, 2)), ("saturate", 5, range(2, 5))):
        images = source.images(name, severity, numbers)
        assert images.shape == (len(numbers), 32, 32, 3) and images.dtype == np.uint8
        assert images[:, 0, 0].tolist() == [[PUBLISHED.index(name), severity - 1, number] for number in numbers]


def test_without_them_images_are_made_anew(data, tmp_path):
    for folder in (None, tmp_path):
        source = find(data, folder, seed=4)
        assert (source.kind, source.names) == ("regenerated", tuple(OURS))
        expected = corrupt(data.test.pixels[1:4], "snow", 2, [1, 2, 3], seed=4)
        assert np.array_equal(source.images("snow", 2, range(1, 4)), expected)
    assert "frost" not in source.names


def test_digits_never_have_published_files(data, published):
    assert find(replace(data, source="digits"), published, seed=1).kind == "regenerated"
    assert find(replace(data, name="cifar100"), published, seed=1).kind == "regenerated"


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FAULTS = {  # which file, and what it holds if it is there
    "missing": ("fog", None, r"fog\.npy is missing: extract .* completely"),
    "no labels": ("labels", None, r"labels\.npy is missing"),
    "text": ("fog", b"fog", r"fog\.npy is truncated or no NumPy file"),
    "other labels": ("labels", saved(np.zeros(50_000, np.uint8)), "other labels than the test images"),
    "other shape": (
        "fog",
        saved(np.zeros((5, 32, 32, 3), np.uint8)),
        r"fog\.npy holds uint8 \(5, 32, 32, 3\), the published file uint8 \(50000, 32, 32, 3\)",
    ),
    "floats": ("labels", saved(np.zeros(50_000)), r"labels\.npy holds float64"),
}


def refused(data: Dataset, published: Path, folder: Path, name: str, content: bytes | None, sentence: str) -> None:
    """Beside links to the other published files."""
    (folder / "CIFAR-10-C").mkdir()
    for file in (published / "CIFAR-10-C").iterdir():
        if file.stem != name:
            (folder / "CIFAR-10-C" / file.name).symlink_to(file)
    if content is not None:
        (folder / "CIFAR-10-C" / f"{name}.npy").write_bytes(content)
    with pytest.raises(Refusal, match=sentence) as caught:
        find(data, folder, seed=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content", "sentence"), FAULTS.values(), ids=FAULTS)
def test_files_that_are_not_the_published_ones_are_refused_in_one_sentence(
    data, published, tmp_path, name, content, sentence
):
    refused(data, published, tmp_path, name, content, sentence)


def test_a_file_that_was_cut_is_refused_in_one_sentence(data, published, tmp_path):
    with (published / "CIFAR-10-C" / "snow.npy").open("rb") as file:
        beginning = file.read(1000)
    refused(data, published, tmp_path, "snow", beginning, r"snow\.npy is truncated")
