"""Other people's checkpoints: read without running anything that is in them, and made into one of our encoders."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from amoc.models.encoder import Encoder
from amoc.models.layouts import COUNTER, LAYOUTS, Keys, Layout, Normalisation
from amoc.refusal import Refusal, out_of_memory
from amoc.settings import Model

_CONTAINER, _PARALLEL = "state_dict", "module."  # a training state's key for the weights; DataParallel's prefix


class _Number:
    """In place of a numpy number in a pickled optimiser, ACL's learning rate for one: it is not needed."""

    def __init__(self, *content: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_NUMBERS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "_codecs.encode")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by key: a state dictionary, bare or under `state_dict`, with `module.` or without.

    Args:
        path: what torch.save wrote, in its new format or the one before PyTorch 1.6, or a .safetensors file.

    Raises:
        Refusal: it is missing or damaged, cannot be read without running code that it names, or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise Refusal(f"{path} is missing, or no file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except Exception as error:  # damaged bytes make unpickling fail in any way
        if out_of_memory(error):
            raise
        if named := re.search(r"GLOBAL (\w[\w.]*)", str(error)):
            code = f"it holds {named[1]}, and only tensors are read; save the network's state_dict() alone"
            raise Refusal(f"{path} cannot be read without running code of others: {code}") from None
        raise Refusal(f"{path} is damaged, or not a checkpoint of PyTorch ({_short(error)})") from None
    if isinstance(content, Mapping) and isinstance(content.get(_CONTAINER), Mapping):
        content = content[_CONTAINER]
    if not isinstance(content, Mapping) or not content:
        raise Refusal(f"{path} holds no state dictionary, bare or under {_CONTAINER!r}")
    for key, value in content.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            kind = type(value).__name__
            raise Refusal(f"{path} holds no state dictionary: {key!r} is not the name of a tensor, but of {kind}")
    if all(key.startswith(_PARALLEL) for key in content):
        return {key.removeprefix(_PARALLEL): tensor for key, tensor in content.items()}
    return dict(content)


def _unpickled(path: Path) -> Any:
    """Raises whatever torch.load does."""
    with torch.serialization.safe_globals([(_Number, name) for name in _NUMBERS]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual pickles: either they can be read or they cannot
        return torch.load(path, map_location="cpu", weights_only=True)


def _short(error: Exception) -> str:
    """The first words of an error that may run over many lines."""
    words = str(error).partition("\n")[0].partition(". ")[0]
    return words or type(error).__name__


def recognise(path: Path, found: Keys, ours: Keys, asked: str | None = None) -> str:
    """The name of the layout that a file with the keys `found` has, given the keys of our encoder.

    Args:
        asked: the only layout that it may have.

    Raises:
        Refusal: none has exactly these keys, or several have.
    """
    differences = {name: layout.difference(found, ours) for name, layout in LAYOUTS.items() if asked in (None, name)}
    fitting = [name for name, (missing, unexpected) in differences.items() if not missing and not unexpected]
    if len(fitting) > 1:
        raise Refusal(f"{path} has the keys of several layouts, {', '.join(fitting)}: choose one with --layout")
    if not fitting:
        name, (missing, unexpected) = min(differences.items(), key=lambda item: sum(map(len, item[1])))
        which = f"the layout {name}" if asked else f"any layout ({', '.join(LAYOUTS)}); compared with {name}"
        raise Refusal(
            f"{path} does not have the keys of {which}: missing are {_listed(missing)}, unexpected are "
            f"{_listed(unexpected)}; architecture and width have to be the profile's"
        )
    return fitting[0]


def _listed(keys: Keys, most: int = 3) -> str:
    shown = ", ".join(sorted(keys)[:most]) or "none"
    return f"{shown} and {len(keys) - most} more" if len(keys) > most else shown


def adopt(
    path: Path, model: Model, dataset: str, layout: str | None = None, normalisation: Normalisation | None = None
) -> tuple[Encoder, str]:
    """One of our encoders, in eval mode, with the weights of a file in one of the `LAYOUTS`, and the layout's name.

    Args:
        model: architecture and width that the file must have.
        dataset: cifar10 or cifar100, on which the layouts that normalise outside the network look up how.
        layout: a key of LAYOUTS; None to tell it by the file's keys.
        normalisation: to use instead of the layout's.

    Raises:
        Refusal: see `read` and `recognise`; or a shape, a number or the normalisation is not what it must be.
    """
    tensors, encoder = read(path), Encoder(model.architecture, model.width, (0.0,) * 3, (1.0,) * 3)
    own = encoder.backbone.state_dict()
    name = recognise(path, Keys(tensors), Keys(own), layout)
    chosen = LAYOUTS[name]
    for key, target in own.items():
        theirs = chosen.key(key)
        if theirs in tensors:
            target.copy_(_checked(path, theirs, tensors[theirs], target, model))
        else:
            assert theirs.endswith(COUNTER), theirs  # `recognise` let nothing else be absent
    used = normalisation or _normalisation(path, chosen, name, tensors, dataset)
    for buffer, values in ((encoder.mean, used.mean), (encoder.std, used.std)):
        buffer.copy_(torch.tensor(values).view(1, 3, 1, 1))
    _check_normalisation(path, encoder)
    return encoder.eval(), name


def _checked(path: Path, key: str, tensor: Tensor, target: Tensor, model: Model) -> Tensor:
    """A tensor of the file, fit for ours."""
    if tensor.shape != target.shape:
        expected = f"{list(target.shape)} in a {model.architecture} of width {model.width} with a stem for small images"
        raise Refusal(f"{path}: {key} has the shape {list(tensor.shape)}, expected is {expected}")
    if key.endswith(COUNTER):
        return tensor
    if not tensor.is_floating_point():
        raise Refusal(f"{path}: {key} holds {tensor.dtype}, expected are floating-point numbers")
    numbers = tensor.to(target.dtype)
    if not numbers.isfinite().all():
        raise Refusal(f"{path}: {key} holds NaN or infinite numbers")
    if numbers.ndim > 1 and not numbers.to(torch.float16).isfinite().all():  # as encoder files keep matrices
        raise Refusal(f"{path}: {key} holds numbers beyond 65504, the largest in the float16 of encoder files")
    if key.endswith(".running_var") and (numbers < 0).any():
        raise Refusal(f"{path}: {key} holds negative variances")
    return numbers


def _normalisation(path: Path, layout: Layout, name: str, tensors: dict[str, Tensor], dataset: str) -> Normalisation:
    """What the layout says, or its file."""
    if layout.buffers:
        buffers = [tensors[layout.prefix + key] for key in layout.buffers]
        for key, buffer in zip(layout.buffers, buffers, strict=True):
            if buffer.shape != (3,):
                raise Refusal(f"{path}: {key} has the shape {list(buffer.shape)}, expected is [3]")
        return Normalisation(*(tuple(buffer.tolist()) for buffer in buffers))
    if dataset not in layout.normalisation:
        raise Refusal(f"{path}: the layout {name} does not say how images were normalised: give --mean and --std")
    return layout.normalisation[dataset]


def _check_normalisation(path: Path, encoder: Encoder) -> None:
    mean, std = encoder.mean, encoder.std
    if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        said = f"mean {mean.flatten().tolist()}, standard deviation {std.flatten().tolist()}"
        raise Refusal(f"{path}: images cannot be normalised with {said}: finite numbers are needed, the latter above 0")
