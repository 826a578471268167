"""Checkpoints of other repositories: our encoder computes what their network does, and anything else is refused."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from amoc.models import layouts
from amoc.models.encoder import Encoder
from amoc.models.files import load_encoder, save_encoder
from amoc.models.foreign import adopt, read
from amoc.models.layouts import LAYOUTS, Layout, Normalisation
from amoc.models.norm import branch
from amoc.refusal import Refusal
from amoc.settings import Model
from tests.models import checkpoints
from tests.models.checkpoints import SCHEMES

NARROW, FULL = Model(architecture="resnet18", width=4), Model(architecture="resnet18", width=64)
OWN = Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
CIFAR10 = Normalisation(*checkpoints.CIFAR10)

State = dict[str, Tensor]


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def adopted(path: Path, model: Model = NARROW, **options) -> tuple[Encoder, str]:
    """Plain files do not say how they normalise."""
    return adopt(path, model, "cifar10", **options)


def assert_same_features(encoder: Encoder, state: State, scheme: str, images: Tensor, normalisation=CIFAR10) -> None:
    for name in ("clean", "adv"):
        expected = checkpoints.features(state, scheme, name, images, normalisation)
        assert 0.1 < expected.std() < 10
        with branch(encoder, name), torch.no_grad():
            torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------- what their network computes


@pytest.mark.parametrize(
    ("scheme", "model"),
    [
        *((scheme, NARROW) for scheme in SCHEMES),
        # one layout of two norms; plain networks of full width are in the next test but one
        *(pytest.param(scheme, FULL, marks=[pytest.mark.slow] * (scheme != "amoc")) for scheme in SCHEMES),
    ],
    ids=lambda value: str(value.width) if isinstance(value, Model) else value,
)
def test_features_are_those_of_their_network(tmp_path, generator, scheme, model):
    """In memory and from the file that we write, in both branches."""
    state = checkpoints.state(scheme, model.width)
    told = CIFAR10 if scheme.startswith("plain") else None
    encoder, layout = adopted(saved(state, tmp_path), model, normalisation=told)
    assert layout == scheme.partition(",")[0]
    assert not any(module.training for module in encoder.modules())
    images = torch.rand(2, 3, 16, 16, generator=generator)
    assert_same_features(encoder, state, scheme, images)
    save_encoder(tmp_path / "ours.safetensors", encoder, {"branch": "adv"})
    ours, _ = load_encoder(tmp_path / "ours.safetensors", expected=model.plain())
    assert_same_features(ours, state, scheme, images)


def test_branches_differ_where_there_are_two_norms(tmp_path, generator):
    images = torch.rand(2, 3, 8, 8, generator=generator)
    for scheme in SCHEMES:
        encoder, _ = adopted(saved(checkpoints.state(scheme, 4), tmp_path), normalisation=OWN)
        with branch(encoder, "clean"):
            clean = encoder(images)
        with branch(encoder, "adv"):
            adversarial = encoder(images)
        assert torch.equal(clean, adversarial) == (scheme.startswith("plain") or scheme == "acl_single")


@pytest.mark.parametrize("make", [torchvision.models.resnet18, timm.create_model], ids=["torchvision", "timm"])
def test_a_real_network_with_a_stem_for_small_images(tmp_path, generator, make):
    network = make() if make is torchvision.models.resnet18 else make("resnet18")
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.ndim > 1:
            tensor.copy_(tensor.half())
    encoder, layout = adopted(saved(network.state_dict(), tmp_path), FULL, normalisation=OWN)
    assert layout == "plain"
    images = torch.rand(2, 3, 16, 16, generator=generator)
    network.fc = nn.Identity()
    expected = network.eval()((images - encoder.mean) / encoder.std)
    torch.testing.assert_close(encoder(images), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["resnet34", "resnet50"])
def test_other_architectures(tmp_path, architecture):
    """The keys of our encoder give those of the file, whatever its depth."""
    model, kept = Model(architecture=architecture, width=4), {}
    backbone = Encoder(architecture, 4, *OWN).backbone
    for key in backbone.state_dict():
        kept[LAYOUTS["acl"].key(key)] = checkpoints.numbers(key, tuple(backbone.state_dict()[key].shape))
    rest = {key: torch.tensor([0.5, 0.5, 0.5]) for key in ("normalize.mean", "normalize.std")}
    rest |= {"fc.weight": torch.zeros(10, 1), "fc.bias": torch.zeros(10)}
    encoder, layout = adopted(saved(kept | rest, tmp_path), model)
    assert layout == "acl"
    for key, tensor in encoder.backbone.state_dict().items():
        assert torch.equal(tensor, kept[LAYOUTS["acl"].key(key)])


# ---------------------------------------------------------------- normalisation


@pytest.mark.parametrize("scheme", SCHEMES)
def test_images_are_normalised_as_told_instead(tmp_path, generator, scheme):
    state = checkpoints.state(scheme, 4)
    encoder, _ = adopted(saved(state, tmp_path), normalisation=OWN)
    if SCHEMES[scheme].normalises:
        for key, values in zip(("mean", "std"), OWN, strict=True):
            state[f"{SCHEMES[scheme].prefix}normalize.{key}"] = torch.tensor(values)
    assert_same_features(encoder, state, scheme, torch.rand(2, 3, 8, 8, generator=generator), OWN)


def test_the_official_code_normalises_by_data_set(tmp_path):
    path = saved(checkpoints.state("amoc", 4), tmp_path)
    encoder, _ = adopt(path, NARROW, "cifar100")
    assert encoder.mean.flatten().tolist() == pytest.approx([0.5071, 0.4867, 0.4408])
    assert encoder.std.flatten().tolist() == pytest.approx([0.2675, 0.2565, 0.2761])
    with pytest.raises(Refusal, match="the layout amoc does not say how images were normalised: give --mean and --std"):
        adopt(path, NARROW, "svhn")


def test_a_network_that_normalises_itself_says_how(tmp_path):
    state = checkpoints.state("acl", 4) | {"normalize.mean": torch.tensor([0.1, 0.2, 0.3])}
    encoder, _ = adopted(saved(state, tmp_path))
    assert encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert encoder.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_a_plain_file_does_not_say_how(tmp_path):
    path = saved(checkpoints.state("plain", 4), tmp_path)
    with pytest.raises(Refusal, match="the layout plain does not say how images were normalised: give --mean and"):
        adopted(path)


@pytest.mark.parametrize(
    "wrong",
    [{"normalize.std": torch.tensor([0.2, 0.0, 0.2])}, {"normalize.std": torch.tensor([0.2, -0.1, 0.2])},
     {"normalize.mean": torch.tensor([0.2, np.nan, 0.2])}, {"normalize.std": torch.tensor([0.2, np.inf, 0.2])}],
)  # fmt: skip
def test_a_normalisation_without_meaning(tmp_path, wrong):
    with pytest.raises(Refusal, match=r"images cannot be normalised with mean .*, the latter above 0"):
        adopted(saved(checkpoints.state("acl", 4) | wrong, tmp_path))


def test_a_normalisation_of_another_shape(tmp_path):
    state = checkpoints.state("acl", 4) | {"normalize.mean": torch.zeros(1, 3, 1, 1)}
    with pytest.raises(Refusal, match=r"normalize\.mean has the shape \[1, 3, 1, 1\], expected is \[3\]"):
        adopted(saved(state, tmp_path))


# ---------------------------------------------------------------- containers


def test_wrapped_and_parallel(tmp_path, generator):
    """As ACL saves its training state: numbers of numpy in the optimiser, keys of DataParallel, either format."""
    state = checkpoints.state("acl", 4)
    parallel = {f"module.{key}": tensor for key, tensor in state.items()}
    whole = {
        "epoch": 1000, "state_dict": parallel, "acc": np.float32(0.5),
        "optim": {"state": {}, "param_groups": [{"lr": np.float64(0.01), "params": [0]}]},
    }  # fmt: skip
    images = torch.rand(2, 3, 8, 8, generator=generator)
    for content in (state, parallel, {"state_dict": state}, whole):
        for zipped in (True, False):
            torch.save(content, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=zipped)
            encoder, layout = adopted(tmp_path / "checkpoint.pt")
            assert layout == "acl"
            assert_same_features(encoder, state, "acl", images)


def test_safetensors(tmp_path, generator):
    state = checkpoints.state("plain, classifier", 4)
    save_file(state, tmp_path / "model.safetensors")
    encoder, _ = adopted(tmp_path / "model.safetensors", normalisation=CIFAR10)
    images = torch.rand(2, 3, 8, 8, generator=generator)
    assert_same_features(encoder, state, "plain, classifier", images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_floating_point_numbers(tmp_path, generator, dtype):
    state = checkpoints.state("amoc", 4)
    state = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    encoder, _ = adopted(saved(state, tmp_path))
    assert {tensor.dtype for tensor in encoder.state_dict().values()} == {torch.float32, torch.int64}
    single = {key: tensor.float() for key, tensor in state.items()}
    assert_same_features(encoder, single, "amoc", torch.rand(2, 3, 8, 8, generator=generator))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_files_without_counters(tmp_path, generator, scheme):
    """They count batches, and PyTorch before 0.4.1 did not write them: all are there, or none."""
    state = checkpoints.state(scheme, 4)
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    without = {key: tensor for key, tensor in state.items() if key not in counters}
    encoder, _ = adopted(saved(without, tmp_path), normalisation=OWN)
    counts = [value for key, value in encoder.backbone.state_dict().items() if key.endswith("num_batches_tracked")]
    assert counts and not any(counts)
    state.pop(counters[0])
    with pytest.raises(Refusal, match=rf"missing are {re.escape(counters[0])}, unexpected are none"):
        adopted(saved(state, tmp_path), normalisation=OWN)


# ---------------------------------------------------------------- exactly their keys


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_too_few_or_too_many(tmp_path, scheme):
    """Each key of each file is needed, heads and second encoders too; nothing beside them is."""
    state = checkpoints.state(scheme, 4)
    name, ours = scheme.partition(",")[0], Encoder("resnet18", 4, *OWN).backbone.state_dict()
    keys = frozenset(state)
    assert LAYOUTS[name].difference(keys, ours) == (frozenset(), frozenset())
    for key in keys:
        missing, unexpected = LAYOUTS[name].difference(keys - {key}, ours)
        assert missing | unexpected, key
    for key in ("conv1.bias", "layer1.0.downsample.0.weight", "linear.weight", "fc.scale", "queue"):
        assert LAYOUTS[name].difference(keys | {key}, ours) == (frozenset(), {key})
    sentence = rf"any layout \(amoc, .*\); compared with {name}: missing are none, unexpected are conv1\.bias; arch"
    with pytest.raises(Refusal, match=sentence):
        adopted(saved(state | {"conv1.bias": torch.zeros(4)}, tmp_path), normalisation=OWN)


def test_no_file_has_two_layouts():
    ours = Encoder("resnet18", 4, *OWN).backbone.state_dict()
    files = [keys for layout in LAYOUTS.values() for keys in layout.files(ours)]
    assert len(set(files)) == len(files) >= 2 * len(LAYOUTS)


def test_two_layouts_with_the_same_keys(tmp_path, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "other", Layout(layouts.AMOC.name, "clean"))
    path = saved(checkpoints.state("amoc", 4), tmp_path)
    with pytest.raises(Refusal, match="the keys of several layouts, amoc, other: choose one with --layout"):
        adopted(path)
    assert adopted(path, layout="amoc")[1] == "amoc"


def test_another_layout_than_told(tmp_path):
    path = saved(checkpoints.state("amoc", 4), tmp_path)
    sentence = (
        r"does not have the keys of the layout acl: missing are bn1\.bn_list\.0\.bias, .* and \d+ more, unexpected are "
        r"bn1\.bn_adv\.bias, .* and \d+ more; architecture and width have to be the profile's$"
    )
    with pytest.raises(Refusal, match=sentence):
        adopted(path, layout="acl")


WRONG: dict[str, tuple[Callable[[State], object], str]] = {
    "wider": (lambda state: state.update(checkpoints.state("amoc", 8)), r"conv1\.weight has the shape \[8, 3, 3, 3\], "
              r"expected is \[4, 3, 3, 3\] in a resnet18 of width 4"),
    "a stem for large images": (lambda state: state.update({"conv1.weight": torch.zeros(4, 3, 7, 7)}),
                                r"conv1\.weight has the shape \[4, 3, 7, 7\], .* with a stem for small images"),
    "a wide shortcut": (lambda state: state.update({"layer2.0.downsample.0.weight": torch.zeros(8, 4, 3, 3)}),
                        r"layer2\.0\.downsample\.0\.weight has the shape \[8, 4, 3, 3\], expected is \[8, 4, 1, 1\]"),
    "NaN": (lambda state: state["layer3.1.bn2.bn_adv.bias"].__setitem__(3, np.nan),
            r"layer3\.1\.bn2\.bn_adv\.bias holds NaN or infinite"),
    "infinity": (lambda state: state["layer1.0.conv1.weight"].__setitem__((0, 0, 0, 0), np.inf),
                 r"layer1\.0\.conv1\.weight holds NaN or infinite"),
    "too large for float32": (lambda state: state.update({"bn1.bn_clean.bias": torch.from_numpy(np.full(4, 1e300))}),
                              r"bn1\.bn_clean\.bias holds NaN or infinite"),
    "too large for float16": (lambda state: state["conv1.weight"].__setitem__((0, 0, 0, 0), 1e5),
                              r"conv1\.weight holds numbers beyond 65504"),
    "negative variance": (lambda state: state["bn1.bn_adv.running_var"].__setitem__(0, -1),
                          r"bn1\.bn_adv\.running_var holds negative variances"),
    "whole numbers": (lambda state: state.update({"conv1.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int8)}),
                      r"conv1\.weight holds torch\.int8, expected are floating-point numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_shapes_and_numbers(tmp_path, edit, sentence):
    state = checkpoints.state("amoc", 4)
    edit(state)
    with pytest.raises(Refusal, match=rf"checkpoint\.pt: {sentence}"):
        adopted(saved(state, tmp_path))


def test_another_depth(tmp_path):
    path = saved(checkpoints.state("amoc", 4), tmp_path)
    sentence = r"missing are layer1\.2\.bn1\.bn_adv\.bias, .* and \d+ more, unexpected are none"
    with pytest.raises(Refusal, match=sentence):
        adopted(path, Model(architecture="resnet34", width=4))


# ---------------------------------------------------------------- files


class Harmful:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_needs_code(tmp_path):
    with pytest.raises(Refusal, match=r"running code of others: it holds \w+\.mkdir, and only tensors are read"):
        read(saved({"state_dict": Harmful(tmp_path / "harm")}, tmp_path))
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Harmful(tmp_path / "harm"), protocol=2))
    with pytest.raises(Refusal, match="without running code of others"):
        read(tmp_path / "bare.pt")
    assert not (tmp_path / "harm").exists()


def test_a_whole_network_instead_of_its_state(tmp_path):
    with pytest.raises(Refusal, match=r"it holds torch\.nn\.modules\.linear\.Linear, .* save the network's state_dict"):
        read(saved(nn.Linear(2, 2), tmp_path))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.01, 0.5, 0.9999])
def test_a_truncated_file(tmp_path, keep, zipped):
    path = tmp_path / "checkpoint.pt"
    torch.save(checkpoints.state("amoc", 4), path, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(keep * path.stat().st_size))
    with pytest.raises(Refusal, match=r"checkpoint\.pt is damaged, or not a checkpoint of PyTorch \([^\n]+\)$"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"), [("page.pt", b"<html>Sign in</html>"), ("empty.safetensors", b""), ("short.safetensors", b"7")]
)
def test_no_checkpoint(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refusal, match=rf"{name} is damaged, or not a checkpoint"):
        read(tmp_path / name)


def test_no_file(tmp_path):
    for path in (tmp_path / "nothing.pt", tmp_path):
        with pytest.raises(Refusal, match=rf"{path} is missing, or no file"):
            read(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([torch.zeros(2)], "holds no state dictionary, bare or under 'state_dict'"),
        ({}, "holds no state dictionary, bare or under 'state_dict'"),
        ({"state_dict": {}}, "holds no state dictionary, bare or under 'state_dict'"),
        ({"model": {"conv1.weight": torch.zeros(2)}}, "'model' is not the name of a tensor, but of dict"),
        ({"conv1.weight": torch.zeros(2), 3: torch.zeros(2)}, "3 is not the name of a tensor, but of Tensor"),
        ({"lr": np.float64(0.1)}, "'lr' is not the name of a tensor"),
    ],
)
def test_no_state_dictionary(tmp_path, content, sentence):
    with pytest.raises(Refusal, match=sentence):
        read(saved(content, tmp_path))


def test_memory_that_does_not_suffice_is_not_called_damage(tmp_path, monkeypatch):
    def full(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError):
        read(saved({}, tmp_path))
