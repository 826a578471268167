"""Files of encoders, classifiers and heads: what comes back is what went in, and nothing else is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.files import load_classifier, load_encoder, load_heads, save_classifier, save_encoder, save_heads
from amoc.models.heads import linear_head
from amoc.models.norm import DualBatchNorm2d, branch, same
from amoc.refusal import Refusal

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)
ABOUT = {
    "method": "amoc",
    "branch": "adv",
    "settings": {"variant": "aca", "lambda": 0.5},
    "fingerprints": {"amoc": "0123"},
}


def made_encoder(generator: torch.Generator, width: int = 4, architecture: str = "resnet18") -> Encoder:
    """With statistics and norm weights that no fresh encoder has; in train mode."""
    encoder = Encoder(architecture, width, MEAN, STD)
    for tensor in encoder.backbone.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.1 + 0.2 * torch.rand(tensor.shape, generator=generator))
        else:
            tensor.fill_(7)
    return encoder


def made_head(generator: torch.Generator, features: int = 32, classes: int = 3) -> nn.Linear:
    head = linear_head(features, classes)
    for parameter in head.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return head


@pytest.fixture
def encoder(generator) -> Encoder:
    return made_encoder(generator)


@pytest.fixture
def classifier(generator) -> Classifier:
    return Classifier(made_encoder(generator), made_head(generator), "adv")


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def altered(path: Path, change) -> Path:
    """The file again, its tensors changed in place by `change`."""
    tensors = load_file(path)
    change(tensors)
    other = path.with_name("altered.safetensors")
    save_file(tensors, other, metadata(path))
    return other


def halved(tensor: torch.Tensor) -> torch.Tensor:
    """What storing does: matrices and convolutions lose bits, everything else keeps them."""
    return tensor.to(torch.float16).to(tensor.dtype) if tensor.ndim > 1 else tensor


# ---------------------------------------------------------------- there and back


def test_encoder_comes_back(tmp_path, encoder, generator):
    path = tmp_path / "new" / "encoder.safetensors"
    save_encoder(path, encoder, ABOUT)
    loaded, about = load_encoder(path)
    assert about == {
        **ABOUT,
        "kind": "encoder",
        "architecture": "resnet18",
        "width": 4,
        "mean": pytest.approx(MEAN),
        "std": pytest.approx(STD),
    }
    assert same(
        loaded.backbone.state_dict(), {name: halved(tensor) for name, tensor in encoder.backbone.state_dict().items()}
    )
    assert torch.equal(loaded.mean, encoder.mean)
    assert torch.equal(loaded.std, encoder.std)
    assert (loaded.features, loaded.width, loaded.architecture) == (32, 4, "resnet18")
    assert not any(module.training for module in loaded.modules())
    images = torch.rand(2, 3, 8, 8, generator=generator)
    for name, tensor in encoder.backbone.state_dict().items():
        tensor.copy_(halved(tensor))
        assert torch.equal(loaded.backbone.state_dict()[name], tensor)
    with branch(encoder.eval(), "adv"):
        torch.testing.assert_close(loaded(images), encoder(images))
    assert not torch.allclose(loaded(images), encoder(images))  # the other branch


def test_saving_leaves_the_encoder_as_it_is(tmp_path, encoder):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    save_encoder(tmp_path / "encoder.safetensors", encoder, ABOUT)
    assert same(before, encoder.state_dict())
    assert encoder.training


def test_a_file_loads_to_the_same_file(tmp_path, encoder):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_encoder(one, encoder, ABOUT)
    loaded, about = load_encoder(one)
    save_encoder(two, loaded, about)
    assert one.read_bytes() == two.read_bytes()


def test_classifier_comes_back(tmp_path, classifier, generator):
    path = tmp_path / "classifier.safetensors"
    save_classifier(path, classifier, {"settings": {"recipe_name": "trades"}})
    loaded, about = load_classifier(path)
    assert about["kind"] == "classifier"
    assert about["branch"] == loaded.branch == "adv"
    assert about["settings"] == {"recipe_name": "trades"}
    assert same(loaded.state_dict(), {name: halved(tensor) for name, tensor in classifier.state_dict().items()})
    assert not any(module.training for module in loaded.modules())
    for norm in (module for module in loaded.modules() if isinstance(module, DualBatchNorm2d)):
        assert norm.branch == "clean"  # it is the classifier that sets its branch, at each call
    assert loaded(torch.rand(2, 3, 8, 8, generator=generator)).shape == (2, 3)


def test_heads_come_back_in_full_precision(tmp_path, generator):
    heads = {"stdev": made_head(generator), "adev": made_head(generator, classes=5)}
    save_heads(tmp_path / "heads.safetensors", heads, {"run": "amoc"})
    loaded, about = load_heads(tmp_path / "heads.safetensors")
    assert about == {"run": "amoc", "kind": "heads"}
    assert loaded.keys() == heads.keys()
    for name, head in heads.items():
        assert same(loaded[name].state_dict(), head.state_dict())


# ---------------------------------------------------------------- the bytes


def test_matrices_are_float16_and_norms_float32(tmp_path, classifier):
    save_classifier(tmp_path / "classifier.safetensors", classifier, ABOUT)
    dtypes = {name: tensor.dtype for name, tensor in load_file(tmp_path / "classifier.safetensors").items()}
    assert (
        dtypes["backbone.conv1.weight"]
        == dtypes["backbone.layer4.0.downsample.0.weight"]
        == dtypes["head.weight"]
        == torch.float16
    )
    assert (
        dtypes["backbone.bn1.adv.weight"]
        == dtypes["backbone.layer1.0.bn2.clean.running_var"]
        == dtypes["head.bias"]
        == torch.float32
    )
    assert dtypes["backbone.bn1.adv.num_batches_tracked"] == torch.int64
    assert set(dtypes) == {f"backbone.{name}" for name in classifier.encoder.backbone.state_dict()} | {
        "head.weight",
        "head.bias",
    }


def test_bytes_are_the_same_each_time_and_metadata_is_one_sorted_key(tmp_path, encoder, generator):
    heads = {"stdev": made_head(generator), "adev": made_head(generator)}
    reordered = dict(reversed(ABOUT.items()))
    contents = set()
    for turn in range(8):
        about, order = (ABOUT, heads) if turn % 2 else (reordered, dict(reversed(heads.items())))
        save_encoder(tmp_path / "encoder.safetensors", encoder, about)
        save_heads(tmp_path / "heads.safetensors", order, about)
        contents.add(tuple((tmp_path / f"{name}.safetensors").read_bytes() for name in ("encoder", "heads")))
    assert len(contents) == 1
    for name in ("encoder", "heads"):
        written = metadata(tmp_path / f"{name}.safetensors")
        assert set(written) == {"amoc"}
        assert written["amoc"] == json.dumps(json.loads(written["amoc"]), sort_keys=True)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("load", [load_encoder, load_classifier, load_heads])
def test_a_missing_file_is_refused(tmp_path, load):
    with pytest.raises(Refusal, match=r"nothing\.safetensors is missing"):
        load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.3, 0.999])
def test_a_truncated_file_is_refused(tmp_path, encoder, keep):
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, ABOUT)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(Refusal, match=r"encoder\.safetensors is not a complete safetensors file"):
        load_encoder(path)


@pytest.mark.parametrize("written", [None, {"format": "pt"}, {"amoc": "no JSON"}, {"amoc": "[1]"}])
def test_a_foreign_safetensors_file_is_refused(tmp_path, written):
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "foreign.safetensors", written)
    with pytest.raises(Refusal, match=r"foreign\.safetensors is not one of this project's encoder files"):
        load_encoder(tmp_path / "foreign.safetensors")


def test_another_kind_of_file_is_refused(tmp_path, encoder, classifier, generator):
    for name, save, content in (("encoder", save_encoder, encoder), ("classifier", save_classifier, classifier),
                                ("heads", save_heads, {"stdev": made_head(generator)})):  # fmt: skip
        save(tmp_path / name, content, ABOUT)
    loads = {"encoder": load_encoder, "classifier": load_classifier, "heads": load_heads}
    for name in loads:
        for kind in loads.keys() - {name}:
            with pytest.raises(Refusal, match=rf"{name} is not one of this project's {kind} files.*'{name}'"):
                loads[kind](tmp_path / name)


def test_an_encoder_other_than_the_settings_say_is_refused_with_both_values(tmp_path, encoder):
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, ABOUT)
    load_encoder(path, expected={"architecture": "resnet18", "width": 4})
    with pytest.raises(Refusal, match=r"encoder\.safetensors holds an encoder with width 4, but the settings say 16"):
        load_encoder(path, expected={"architecture": "resnet18", "width": 16})
    with pytest.raises(Refusal, match=r"with architecture 'resnet18', but the settings say 'resnet34'"):
        load_encoder(path, expected={"architecture": "resnet34", "width": 4})


def test_a_tensor_too_few_is_refused(tmp_path, encoder, classifier, generator):
    save_encoder(tmp_path / "encoder", encoder, ABOUT)
    with pytest.raises(Refusal, match=r"another architecture.*missing.*bn1\.adv\.weight"):
        load_encoder(altered(tmp_path / "encoder", lambda tensors: tensors.pop("bn1.adv.weight")))
    save_classifier(tmp_path / "classifier", classifier, ABOUT)
    for name in ("backbone.conv1.weight", "head.bias", "head.weight"):
        with pytest.raises(Refusal, match=rf"another architecture.*missing.*{name}"):
            load_classifier(altered(tmp_path / "classifier", lambda tensors, name=name: tensors.pop(name)))
    save_heads(tmp_path / "heads", {"stdev": made_head(generator)}, ABOUT)
    for name in ("stdev.bias", "stdev.weight"):
        with pytest.raises(Refusal, match=r"another architecture.*'stdev\."):
            load_heads(altered(tmp_path / "heads", lambda tensors, name=name: tensors.pop(name)))


def test_a_tensor_too_many_is_refused(tmp_path, encoder, classifier, generator):
    save_encoder(tmp_path / "encoder", encoder, ABOUT)
    save_classifier(tmp_path / "classifier", classifier, ABOUT)
    save_heads(tmp_path / "heads", {"stdev": made_head(generator)}, ABOUT)
    for load, kind, name in ((load_encoder, "encoder", "fc.weight"), (load_classifier, "classifier", "head.scale"),
                             (load_classifier, "classifier", "projector.fc1.weight"),
                             (load_heads, "heads", "stdev.scale")):  # fmt: skip
        with pytest.raises(Refusal, match=rf"another architecture.*unexpected.*{name}"):
            load(altered(tmp_path / kind, lambda tensors, name=name: tensors.update({name: torch.zeros(2)})))


def test_a_tensor_of_another_shape_is_refused(tmp_path, encoder, classifier):
    save_encoder(tmp_path / "encoder", encoder, ABOUT)
    with pytest.raises(Refusal, match=r"conv1\.weight has shape \[8, 3, 3, 3\], expected \[4, 3, 3, 3\]"):
        load_encoder(
            altered(tmp_path / "encoder", lambda tensors: tensors.update({"conv1.weight": torch.zeros(8, 3, 3, 3)}))
        )
    save_classifier(tmp_path / "classifier", classifier, ABOUT)
    with pytest.raises(Refusal, match=r"head\.weight has shape \[3, 5\], expected \[3, 32\]"):
        load_classifier(
            altered(tmp_path / "classifier", lambda tensors: tensors.update({"head.weight": torch.zeros(3, 5)}))
        )
