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
from amoc.refusal import Refusal

_KEY = "amoc"  # the only metadata key: several would be written in random order


def _stored(tensor: Tensor) -> Tensor:
    """Convolution and linear weights in float16 (22 MB for the full ResNet-18); everything with one axis as it is."""
    return tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else tensor.dtype).contiguous()


def _write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    content = save({name: _stored(tensor) for name, tensor in tensors.items()}, {_KEY: json.dumps(about, sort_keys=True)})
    write_atomically(path, content)


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except FileNotFoundError:
        raise Refusal(f"{path} is missing: the stage that makes it has not run") from None
    except (SafetensorError, OSError) as error:
        raise Refusal(f"{path} is not a complete safetensors file ({error})") from None
    about = json.loads(metadata.get(_KEY, "{}"))
    if about.get("kind") != kind:
        raise Refusal(f"{path} does not hold one of this project's {kind} files: its metadata says kind {about.get('kind')!r}")
    return tensors, about


def _load_exactly(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Every key and shape must match: what is evaluated is what is in the file."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unexpected:
        raise Refusal(f"{path} is of another architecture: missing keys {missing[:3]}, unexpected keys {unexpected[:3]}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise Refusal(f"{path} is of another architecture: {name} has shape {list(tensor.shape)}, expected {list(own[name].shape)}")
    module.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})


def _architecture(encoder: Encoder) -> dict[str, Any]:
    return {"architecture": encoder.architecture, "width": encoder.width, "mean": encoder.mean.flatten().tolist(), "std": encoder.std.flatten().tolist()}


def _build(about: dict[str, Any]) -> Encoder:
    return Encoder(about["architecture"], about["width"], about["mean"], about["std"]).to(memory_format=torch.channels_last)


def save_encoder(path: Path, encoder: Encoder, about: dict[str, Any]) -> None:
    """Write an encoder. `about` (branch, settings, data set, fingerprint) goes into the file; no times, paths or hosts."""
    _write(path, encoder.backbone.state_dict(), {**about, **_architecture(encoder), "kind": "encoder"})


def load_encoder(path: Path, expected: dict[str, Any] | None = None) -> tuple[Encoder, dict[str, Any]]:
    """An encoder in eval mode, and what the file says about it.

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
    _load_exactly(encoder.backbone, tensors, path)
    return encoder.eval(), about


def save_classifier(path: Path, classifier: Classifier, about: dict[str, Any]) -> None:
    """Write encoder, head and branch of a classifier."""
    tensors = {f"backbone.{name}": tensor for name, tensor in classifier.encoder.backbone.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in classifier.head.state_dict().items()}
    _write(path, tensors, {**about, **_architecture(classifier.encoder), "branch": classifier.branch, "kind": "classifier"})


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """A classifier in eval mode and what the file says about it. Raises Refusal as `load_encoder` does."""
    tensors, about = _read(path, "classifier")
    parts: dict[str, dict[str, Tensor]] = {"backbone": {}, "head": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    encoder = _build(about)
    _load_exactly(encoder.backbone, parts["backbone"], path)
    head = linear_head(encoder.features, parts["head"]["bias"].numel() if "bias" in parts["head"] else 0)
    _load_exactly(head, parts["head"], path)
    return Classifier(encoder, head, about["branch"]).to(memory_format=torch.channels_last).eval(), about


def save_heads(path: Path, heads: dict[str, nn.Linear], about: dict[str, Any]) -> None:
    """Write the linear heads of an encoder, by protocol; they stay in float32 (5 k numbers)."""
    tensors = {f"{name}.{key}": tensor.detach().cpu().contiguous() for name, head in heads.items() for key, tensor in head.state_dict().items()}
    write_atomically(path, save(tensors, {_KEY: json.dumps({**about, "kind": "heads"}, sort_keys=True)}))


def load_heads(path: Path) -> tuple[dict[str, nn.Linear], dict[str, Any]]:
    """The linear heads by protocol, and what the file says. Raises Refusal as `load_encoder` does."""
    tensors, about = _read(path, "heads")
    heads: dict[str, nn.Linear] = {}
    for name in sorted({key.partition(".")[0] for key in tensors}):
        weight = tensors[f"{name}.weight"]
        heads[name] = linear_head(weight.shape[1], weight.shape[0])
        _load_exactly(heads[name], {"weight": weight, "bias": tensors[f"{name}.bias"]}, path)
    return heads, about
