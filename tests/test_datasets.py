"""The images: which ones, in which order, intact or refused."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import pickle
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load, save
from sklearn.datasets import load_digits

from amoc import datasets
from amoc.refusal import Refusal
from amoc.settings import SOURCES, Data

ROOT = Path(__file__).resolve().parents[1]
CIFAR_NAMES = ("cifar10", "cifar100")


def settings(source: str, train: int | None = None, test: int | None = None) -> Data:
    return Data(source=source, train=train, test=test)


def digits(train: int | None = None, test: int | None = None, name: str = "cifar10") -> datasets.Dataset:
    return datasets.build(name, settings("digits", train, test), folder=None, cache=Path("not used"))


def assert_same(one: datasets.Dataset, other: datasets.Dataset) -> None:
    for a, b in ((one.train, other.train), (one.test, other.test)):
        np.testing.assert_array_equal(a.pixels, b.pixels, strict=True)
        np.testing.assert_array_equal(a.labels, b.labels, strict=True)
    for fact in ("name", "source", "classes", "mean", "std", "label_names", "provenance"):
        assert getattr(one, fact) == getattr(other, fact)


def sizes(built: datasets.Dataset) -> tuple[int, ...]:
    """As `amoc.settings.Source` has them: training and test images, side, classes."""
    return len(built.train.labels), len(built.test.labels), built.test.pixels.shape[1], built.classes


# ---------------------------------------------------------------- digits


@pytest.mark.parametrize("name", datasets.NAMES)
def test_the_digits_are_as_many_as_settings_are_held_against(name):
    assert sizes(digits(name=name)) == SOURCES["digits"]._replace(classes=SOURCES["digits"].classes[name])


def test_digits_are_split_without_loss_or_repetition():
    everything, built = load_digits(), digits()
    assert (len(built.train.labels), len(built.test.labels)) == (1437, 360)
    expected: Counter = Counter()
    for image, label in zip(everything.images, everything.target, strict=True):
        scaled = [int(np.floor(value / 16 * 255 + 0.5)) for value in image.reshape(-1)]
        expected[tuple(scaled), int(label)] += 1
    found: Counter = Counter()
    for images in (built.train, built.test):
        assert images.pixels.dtype == np.uint8 and images.labels.dtype == np.int64
        assert images.pixels.shape == (len(images.labels), 8, 8, 3)
        for image, label in zip(images.pixels, images.labels, strict=True):
            assert (image == image[..., :1]).all()  # grey
            found[tuple(image[..., 0].reshape(-1).tolist()), int(label)] += 1
    assert found == expected


def test_digits_are_stratified():
    built = digits()
    total = np.bincount(load_digits().target)
    for images in (built.train, built.test):
        share = len(images.labels) / 1797
        assert np.abs(np.bincount(images.labels) - total * share).max() < 1


def test_digits_split_is_the_documented_one_whatever_is_asked_for():
    np.random.seed(20)
    whole = digits()
    np.random.seed(21)
    part = digits(train=100, test=50)
    assert (part.name, part.source, part.classes, part.label_names) == ("cifar10", "digits", 10, tuple("0123456789"))
    np.testing.assert_array_equal(part.train.pixels, whole.train.pixels[:100])
    np.testing.assert_array_equal(part.test.labels, whole.test.labels[:50])
    # results were measured on these very images: another scikit-learn must not move them
    drawn = {split: hashlib.md5(getattr(whole, split).pixels.tobytes()).hexdigest() for split in ("train", "test")}
    assert drawn == {"train": "4da04f16f67f04e08c28a9cb0e14cdba", "test": "9e56f98ff7132c8dc23eb0460da14399"}


def test_for_cifar100_every_second_digit_is_turned_and_has_a_class_of_its_own():
    upright, turned = digits(), digits(train=101, name="cifar100")
    assert (turned.classes, turned.label_names[7], turned.label_names[17]) == (20, "7", "7 turned")
    assert (len(turned.train.labels), len(turned.test.labels)) == (101, 360)
    for split in ("train", "test"):
        images, originals = getattr(turned, split), getattr(upright, split)
        for at, (image, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            original, digit = originals.pixels[at], originals.labels[at]
            if at % 2 == 0:
                np.testing.assert_array_equal(image, original)
                assert label == digit
            else:  # the top row comes to the left side, read from its end upwards
                np.testing.assert_array_equal(image[:, 0], original[0, ::-1])
                np.testing.assert_array_equal(image[0], original[:, -1])
                assert label == digit + 10
    np.testing.assert_allclose(turned.mean, upright.train.pixels.mean(axis=(0, 1, 2)) / 255, atol=5e-5)
    assert "every second one turned" in turned.provenance and "turned" not in upright.provenance


def test_digits_statistics_are_those_of_the_training_split():
    built = digits()
    pixels = built.train.pixels / 255
    np.testing.assert_allclose(built.mean, pixels.mean(axis=(0, 1, 2)), rtol=0, atol=5e-5)
    np.testing.assert_allclose(built.std, pixels.std(axis=(0, 1, 2)), rtol=0, atol=5e-5)


@pytest.mark.parametrize(("split", "there_are"), [("train", 1437), ("test", 360)])
def test_more_digits_than_there_are_are_refused(split, there_are):
    assert len(getattr(digits(**{split: there_are}), split).labels) == there_are
    with pytest.raises(Refusal, match=rf"data\.{split} is {there_are + 1}, allowed is at most {there_are}"):
        digits(**{split: there_are + 1})


def test_unknown_data_set_is_refused():
    with pytest.raises(Refusal, match="the data set is 'mnist', allowed is one of cifar10, cifar100"):
        digits(name="mnist")


def test_digits_need_no_torch(tmp_path):
    """Nor does whoever reads the file."""
    program = (
        "import sys; from pathlib import Path; from amoc import datasets; from amoc.params import Data\n"
        "path = Path(sys.argv[1])\n"
        "datasets.write(datasets.build('cifar10', Data(source='digits', train=None, test=None), None, path), path)\n"
        "print(datasets.read(path).provenance)\n"
        "assert not {'torch', 'torchvision'} & sys.modules.keys()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "digits.safetensors")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "the first 1437 training and 360 test images of scikit-learn's digits\n"


# ---------------------------------------------------------------- CIFAR's archives, imitated with a few images


class Archive:
    """A tiny archive of the published layout. `planar` and `labels` hold what it was made of, by split."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        import torchvision.datasets

        kind = getattr(torchvision.datasets, name.upper())
        random = np.random.default_rng([3, CIFAR_NAMES.index(name)])
        classes = {"cifar10": 10, "cifar100": 100}[name]
        self.name, self.base_folder, self.filename = name, kind.base_folder, kind.filename
        self.planar: dict[str, np.ndarray] = {}
        self.labels: dict[str, list[int]] = {}
        self.label_names = [f"class {number}" for number in range(classes)]
        self.files: dict[str, bytes] = {kind.meta["filename"]: pickle.dumps({kind.meta["key"]: self.label_names}, 2)}
        for split in ("train", "test"):
            batches = []
            for file, _ in getattr(kind, f"{split}_list"):
                data = random.integers(0, 256, (3, 3072), dtype=np.uint8)
                labels = random.integers(0, classes, 3).tolist()
                content = {"data": data, "labels": labels}
                if name == "cifar100":
                    content = {"data": data, "fine_labels": labels, "coarse_labels": [label // 5 for label in labels]}
                self.files[file] = pickle.dumps(content, 2)
                batches.append((data, labels))
            self.planar[split] = np.concatenate([data for data, _ in batches])
            self.labels[split] = [label for _, labels in batches for label in labels]
            table = [[file, self.md5(file)] for file, _ in getattr(kind, f"{split}_list")]
            monkeypatch.setattr(kind, f"{split}_list", table)
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": self.md5(kind.meta["filename"])})
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for file, content in self.files.items():
                member = tarfile.TarInfo(f"{self.base_folder}/{file}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        self.packed = packed.getvalue()
        monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(self.packed).hexdigest())
        self.url = kind.url

    def md5(self, file: str) -> str:
        return hashlib.md5(self.files[file]).hexdigest()

    def extract(self, folder: Path) -> None:
        (folder / self.base_folder).mkdir(parents=True)
        for file, content in self.files.items():
            (folder / self.base_folder / file).write_bytes(content)

    def pack(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.filename).write_bytes(self.packed)

    def build(self, folder: Path | None, cache: Path, **counts: int) -> datasets.Dataset:
        return datasets.build(self.name, settings("cifar", **counts), folder, cache)


@pytest.fixture(params=CIFAR_NAMES)
def archive(request, monkeypatch) -> Archive:
    return Archive(request.param, monkeypatch)


@pytest.fixture(autouse=True)
def internet(monkeypatch) -> SimpleNamespace:
    """Instead of the internet: `content` is what a download returns, or the error that it raises."""
    served = SimpleNamespace(content=URLError("Name or service not known"), asked=[])

    class Response(io.BytesIO):
        length = None

    def urlopen(url: str, timeout: float) -> Response:
        served.asked.append(url)
        if isinstance(served.content, Exception):
            raise served.content
        return Response(served.content)

    monkeypatch.setattr(datasets, "urlopen", urlopen)
    return served


@pytest.mark.parametrize("place", ["folder", "cache"])
@pytest.mark.parametrize("form", ["extract", "pack"])
def test_archive_is_found_in_either_place_and_form(archive, internet, tmp_path, place, form):
    places = {"folder": tmp_path / "folder", "cache": tmp_path / "cache"}
    places["folder"].mkdir()
    getattr(archive, form)(places[place])
    before = sorted(tmp_path.rglob("*"))
    built = archive.build(**places)
    for split in ("train", "test"):
        pixels, labels = getattr(built, split).pixels, getattr(built, split).labels
        planar = archive.planar[split]
        assert pixels.dtype == np.uint8 and labels.dtype == np.int64
        assert pixels.shape == (len(planar), 32, 32, 3) and pixels.flags.c_contiguous
        assert labels.tolist() == archive.labels[split]
        row, column, channel = np.indices((32, 32, 3))  # an image of the archive: 1024 red, 1024 green, 1024 blue
        np.testing.assert_array_equal(pixels, planar[:, 1024 * channel + 32 * row + column])
    assert (built.name, built.source, built.classes) == (archive.name, "cifar", len(archive.label_names))
    assert built.label_names == tuple(archive.label_names)
    assert internet.asked == []
    assert sorted(tmp_path.rglob("*")) == before  # neither place was written to


def test_first_images_of_the_official_order(archive, tmp_path):
    archive.extract(tmp_path)
    whole, part = archive.build(tmp_path, tmp_path), archive.build(tmp_path, tmp_path, train=2, test=1)
    np.testing.assert_array_equal(part.train.pixels, whole.train.pixels[:2])
    assert part.test.labels.tolist() == whole.test.labels[:1].tolist()
    assert part.provenance.startswith("the first 2 training and 1 test images of CIFAR-10")
    assert (part.mean, part.std) == (whole.mean, whole.std)


@pytest.mark.parametrize("split", ["train", "test"])
def test_more_images_than_there_are_are_refused(archive, tmp_path, split):
    archive.extract(tmp_path)
    there_are = len(archive.labels[split])
    with pytest.raises(Refusal, match=rf"data\.{split} is {there_are + 1}, allowed is at most {there_are}"):
        archive.build(tmp_path, tmp_path, **{split: there_are + 1})


def test_the_folder_comes_before_the_cache(archive, tmp_path):
    archive.pack(tmp_path / "folder")
    archive.extract(tmp_path / "cache")
    for path in (tmp_path / "cache" / archive.base_folder).iterdir():
        path.write_bytes(b"")
    assert archive.build(tmp_path / "folder", tmp_path / "cache").train.labels.tolist() == archive.labels["train"]


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_file_is_refused_by_name(archive, tmp_path, damage):
    for number, file in enumerate(archive.files):
        folder = tmp_path / str(number)
        archive.extract(folder)
        path = folder / archive.base_folder / file
        if damage == "missing":
            path.unlink()
        else:
            content = path.read_bytes()
            path.write_bytes(content[:-1] if damage == "truncated" else bytes([content[0] ^ 1]) + content[1:])
        altered = f"is truncated or altered: .* published file is {archive.md5(file)}"
        sentence = "is missing" if damage == "missing" else altered
        with pytest.raises(Refusal, match=f"{re.escape(str(path))} {sentence}"):
            archive.build(folder, tmp_path / "cache")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_packed_archive_is_refused_by_name(archive, tmp_path, kept):
    path = tmp_path / archive.filename
    path.write_bytes(archive.packed[: int(kept * len(archive.packed))])
    with pytest.raises(Refusal, match=f"{re.escape(str(path))} is truncated or altered"):
        archive.build(tmp_path, tmp_path / "cache")


def test_a_file_that_cannot_be_read_is_refused(archive, tmp_path):
    archive.extract(tmp_path)
    path = tmp_path / archive.base_folder / next(iter(archive.files))
    path.unlink()
    path.mkdir()  # also refuses to be read by root
    with pytest.raises(Refusal, match=f"{re.escape(str(path))} cannot be read"):
        archive.build(tmp_path, tmp_path)


def test_a_folder_that_is_none_is_refused(archive, tmp_path):
    with pytest.raises(Refusal, match=rf"AMOC_DATA_DIR is {re.escape(str(tmp_path))}/typo, which is not a folder"):
        archive.build(tmp_path / "typo", tmp_path)


def test_a_missing_archive_is_downloaded_once(archive, internet, tmp_path):
    internet.content = archive.packed
    cache = tmp_path / "new" / "cache"
    first, second = archive.build(None, cache), archive.build(None, cache)
    assert internet.asked == [archive.url]
    assert [path.name for path in cache.iterdir()] == [archive.filename]
    assert (cache / archive.filename).read_bytes() == archive.packed
    assert first.train.labels.tolist() == archive.labels["train"]
    assert_same(first, second)


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        TimeoutError("timed out"),
        ConnectionResetError("Connection reset by peer"),
        http.client.BadStatusLine("?"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_missing_data_without_network_names_the_variable_and_the_files(archive, internet, tmp_path, error):
    internet.content = error
    with pytest.raises(Refusal) as refusal:
        archive.build(tmp_path, tmp_path / "cache")
    sentence = str(refusal.value)
    assert f"set AMOC_DATA_DIR to a folder that holds {archive.base_folder} or {archive.filename}" in sentence
    assert archive.url in sentence and str(getattr(error, "reason", error)) in sentence
    assert "\n" not in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_download_is_refused_and_not_kept(archive, internet, tmp_path):
    internet.content = archive.packed[:-1]
    with pytest.raises(Refusal, match=f"{re.escape(archive.url)} returned is truncated or altered"):
        archive.build(None, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- CIFAR's real files


@pytest.mark.parametrize(
    ("name", "first_training_labels", "first_test_labels"),
    [("cifar10", [6, 9, 9, 4, 1], [3, 8, 8, 0, 6]), ("cifar100", [19, 29, 0, 11, 1], [49, 33, 72, 51, 71])],
)
def test_real_images_are_those_of_torchvision(cifar_dir, tmp_path, name, first_training_labels, first_test_labels):
    import torchvision.datasets

    built = datasets.build(name, settings("cifar"), cifar_dir, tmp_path)
    official = getattr(torchvision.datasets, name.upper())(cifar_dir, train=False)
    np.testing.assert_array_equal(built.test.pixels, official.data, strict=True)
    assert built.test.labels.tolist() == official.targets
    assert built.label_names == tuple(official.classes)
    assert sizes(built) == SOURCES["cifar"]._replace(classes=SOURCES["cifar"].classes[name])
    assert built.train.pixels.shape == (50000, 32, 32, 3) and built.train.labels.shape == (50000,)
    assert built.train.labels[:5].tolist() == first_training_labels
    assert built.test.labels[:5].tolist() == first_test_labels
    assert np.bincount(built.train.labels).tolist() == [50000 // built.classes] * built.classes
    if name == "cifar10":
        assert built.train.pixels[0, 0, 0].tolist() == [59, 62, 63]  # the frog
    np.testing.assert_allclose(built.mean, built.train.pixels.mean(axis=(0, 1, 2)) / 255, rtol=0, atol=3e-4)
    some = built.train.pixels[::10].std(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(built.std, some, rtol=0, atol=5e-3)


# ---------------------------------------------------------------- the file


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "data" / "demo" / "cifar10.safetensors"
    datasets.write(digits(train=9, test=4), path)
    return path


def test_what_is_written_is_read(written):
    assert_same(datasets.read(written), digits(train=9, test=4))


def test_what_is_read_can_be_written_to(written):
    """torch.from_numpy warns about arrays that cannot."""
    assert datasets.read(written).train.pixels.flags.writeable


def test_bytes_depend_on_the_images_alone(written, tmp_path):
    elsewhere = tmp_path / "elsewhere.safetensors"
    datasets.write(datasets.read(written), elsewhere)
    assert elsewhere.read_bytes() == written.read_bytes()
    assert str(tmp_path).encode() not in written.read_bytes()
    datasets.write(digits(train=9, test=5), elsewhere)
    assert elsewhere.read_bytes() != written.read_bytes()


def test_the_file_says_what_it_holds(written):
    with safe_open(written, framework="numpy") as file:
        metadata = file.metadata()
        assert sorted(file.keys()) == ["test_labels", "test_pixels", "train_labels", "train_pixels"]
    assert list(metadata) == ["amoc"]
    facts = json.loads(metadata["amoc"])
    assert list(facts) == sorted(facts)
    assert facts.pop("md5")
    assert facts == {
        "name": "cifar10",
        "source": "digits",
        "classes": 10,
        "mean": [0.3054] * 3,
        "std": [0.376] * 3,
        "label_names": list("0123456789"),
        "provenance": "the first 9 training and 4 test images of scikit-learn's digits",
    }


def test_a_truncated_file_is_refused_by_name(written):
    content = written.read_bytes()
    for length in (0, 1, 7, 8, 9, 200, len(content) // 2, len(content) - 1):
        written.write_bytes(content[:length])
        with pytest.raises(Refusal, match=f"{re.escape(str(written))} is truncated"):
            datasets.read(written)


def test_an_altered_file_is_refused_by_name(written):
    content = written.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")  # of the tensors
    for position in (start, (start + len(content)) // 2, len(content) - 1, content.index(b"scikit")):
        written.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(Refusal, match=f"{re.escape(str(written))} was altered"):
            datasets.read(written)


@pytest.mark.parametrize("metadata", [None, {}, {"other": "{}"}, {"amoc": "{"}, {"amoc": "[]"}, {"amoc": "{}"}])
def test_a_file_without_our_metadata_is_refused_by_name(written, metadata):
    written.write_bytes(save(load(written.read_bytes()), metadata))
    with pytest.raises(Refusal, match=f"{re.escape(str(written))} holds no data set"):
        datasets.read(written)


def test_a_file_of_other_tensors_is_refused_by_name(tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(save({"conv1.weight": np.zeros((2, 3), np.float16)}, {"amoc": '{"md5": "0"}'}))
    with pytest.raises(Refusal, match=f"{re.escape(str(path))} holds no data set"):
        datasets.read(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(Refusal, match=rf"{re.escape(str(tmp_path))}/none\.safetensors is missing"):
        datasets.read(tmp_path / "none.safetensors")
    with pytest.raises(Refusal, match=re.escape(str(tmp_path))):
        datasets.read(tmp_path)
