"""Encoders and classifiers as safetensors: matrices in float16, norms in float32, one metadata key of sorted JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from amoc.engine.files import write_atomically
from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.heads import linear_head
from amoc.models.norm import DualBatchNorm
from amoc.refusal import Refusal

_KEY = "amoc"  # the only metadata key: several would be written in random order


def _halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convolution and linear weights in float16 (22 MB for the full ResNet-18); what has one axis stays as it is."""
    return {name: tensor.to(torch.float16) if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}


def _write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(stored, {_KEY: json.dumps(about, sort_keys=True)}))


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except FileNotFoundError:
        raise Refusal(f"{path} is missing: `dvc repro` with a stage that needs it makes it") from None
    except (SafetensorError, OSError) as error:
        raise Refusal(f"{path} is not a complete safetensors file ({error})") from None
    try:
        about = json.loads(metadata.get(_KEY, "null"))
    except ValueError:
        about = None
    found = about.get("kind") if isinstance(about, dict) else None
    if found != kind:
        raise Refusal(f"{path} is not one of this project's {kind} files: its metadata says kind {found!r}")
    return tensors, about


def _named(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Every tensor of the modules, named as in their file: prefix, then its own name."""
    return {prefix + name: tensor for prefix, module in modules.items() for name, tensor in module.state_dict().items()}


def _load_exactly(modules: dict[str, nn.Module], tensors: dict[str, Tensor], path: Path) -> None:
    """Every name and shape must match: what is evaluated is what is in the file."""
    own, other = _named(modules), f"{path} is of another architecture"
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unexpected:
        raise Refusal(f"{other}: missing keys {missing[:3]}, unexpected keys {unexpected[:3]}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise Refusal(f"{other}: {name} has shape {list(tensor.shape)}, expected {list(own[name].shape)}")
    for name, tensor in tensors.items():
        own[name].copy_(tensor)  # into the module, in its own dtype


def _architecture(encoder: Encoder) -> dict[str, Any]:
    mean, std = encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()
    return {"architecture": encoder.architecture, "width": encoder.width, "mean": mean, "std": std}


def _build(about: dict[str, Any]) -> Encoder:
    encoder = Encoder(about["architecture"], about["width"], about["mean"], about["std"])
    return encoder.to(memory_format=torch.channels_last)


def save_encoder(path: Path, encoder: Encoder, about: dict[str, Any]) -> None:
    """Write an encoder, with `about` (branch, settings, data set, fingerprint) in the file: no times, paths, hosts."""
    _write(path, _halved(encoder.backbone.state_dict()), {**about, **_architecture(encoder), "kind": "encoder"})


def load_encoder(path: Path, expected: dict[str, Any] | None = None) -> tuple[Encoder, dict[str, Any]]:
    """An encoder in eval mode, its norms on the branch that it is evaluated with, and what the file says about it.

    Args:
        path: a file that `save_encoder` wrote.
        expected: architecture and width that the settings ask for.

    Raises:
        Refusal: missing or truncated file, another kind of file, or another architecture than expected.
    """
    tensors, about = _read(path, "encoder")
    for key, value in (expected or {}).items():
        if about[key] != value:
            raise Refusal(f"{path} holds an encoder with {key} {about[key]!r}, but the settings say {value!r}")
    encoder = _build(about)
    _load_exactly({"": encoder.backbone}, tensors, path)
    for module in encoder.modules():
        if isinstance(module, DualBatchNorm):
            module.branch = about["branch"]
    return encoder.eval(), about


def _parts(encoder: Encoder, head: nn.Linear) -> dict[str, nn.Module]:
    return {"backbone.": encoder.backbone, "head.": head}


def save_classifier(path: Path, classifier: Classifier, about: dict[str, Any]) -> None:
    """Write encoder, head and branch of a classifier."""
    own = {**_architecture(classifier.encoder), "branch": classifier.branch, "kind": "classifier"}
    _write(path, _halved(_named(_parts(classifier.encoder, classifier.head))), {**about, **own})


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """A classifier in eval mode and what the file says about it. Raises Refusal as `load_encoder` does."""
    tensors, about = _read(path, "classifier")
    encoder = _build(about)
    classes = len(tensors["head.weight"]) if "head.weight" in tensors else 1  # 1: so that its absence is reported
    head = linear_head(encoder.features, classes)
    _load_exactly(_parts(encoder, head), tensors, path)
    return Classifier(encoder, head, about["branch"]).to(memory_format=torch.channels_last).eval(), about


def save_heads(path: Path, heads: dict[str, nn.Linear], about: dict[str, Any]) -> None:
    """Write the linear heads of an encoder, by protocol; they stay in float32 (5 k numbers)."""
    _write(path, _named({f"{name}.": head for name, head in heads.items()}), {**about, "kind": "heads"})


def load_heads(path: Path) -> tuple[dict[str, nn.Linear], dict[str, Any]]:
    """The linear heads by protocol, and what the file says. Raises Refusal as `load_encoder` does."""
    tensors, about = _read(path, "heads")
    names = sorted(key.removesuffix(".weight") for key in tensors if key.endswith(".weight"))
    heads = {name: linear_head(*reversed(tensors[f"{name}.weight"].shape)) for name in names}
    _load_exactly({f"{name}.": head for name, head in heads.items()}, tensors, path)
    return heads, about
