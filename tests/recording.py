"""CUDA graphs, acted out on a CPU: what a computation does, operation by operation, and doing it again without it.

Operations are seen below autograd, so backward is among them. As in a CUDA graph, tensors stand for the places that
they had while recording: a replay reads and writes the same memory, and knows no Python value but those of then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# what waits for the device, or brings something from the host: not allowed in a recording
WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "repeat_interleave", "bincount", "lift_fresh", "lift_fresh_copy", "lift", "set_", "resize_",
}  # fmt: skip


class Recorder(TorchDispatchMode):
    """`with Recorder() as recorder: ...`, then `recorder.replay()`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable, tuple, dict, Any]] = []  # function, arguments, results

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        if name in WAITING:
            raise AssertionError(f"{function} waits for the device, or copies from the host")
        flat = [*leaves(args), *leaves(kwargs)]
        masks = (torch.bool, torch.uint8)
        if name in ("index", "index_put", "index_put_") and any(i is not None and i.dtype in masks for i in args[1]):
            raise AssertionError(f"{function} by a mask waits for its number of elements")
        devices = {value.device for value in flat if isinstance(value, Tensor) and value.ndim}
        devices |= {value for value in flat if isinstance(value, torch.device)}
        if len(devices) > 1:
            raise AssertionError(f"{function} copies between {devices}")
        results = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, results))
        return results

    def replay(self) -> None:
        """The operations again, each result into the place where it was. Views and what works in place need no copy."""
        with torch.no_grad():
            for function, args, kwargs, results in self.operations:
                if is_view(function):
                    continue  # it shows what its base holds by now
                again = function(*args, **kwargs)
                if is_in_place(function):
                    continue
                for place, value in zip(leaves(results), leaves(again), strict=True):
                    if isinstance(place, Tensor):
                        place.copy_(value)

    def stream(self, named: dict[str, Tensor]) -> list[str]:
        """The operations as text: names, numbers, and tensors by shape, strides and the memory that they look at.

        That memory is the result of an earlier operation, which has a number, or is that of one of the tensors `named`.
        AssertionError for any other, which a replay would find as it was while recording. Of a tensor without
        dimensions the number is told in its place: Python's numbers come as such.
        """
        known = {memory(tensor): name for name, tensor in named.items()}
        lines: list[str] = []

        def told(value: Any) -> Any:
            if isinstance(value, tuple | list):
                return [told(item) for item in value]
            if not isinstance(value, Tensor):
                return "generator" if isinstance(value, Generator) else value
            if memory(value) not in known and value.ndim == 0:
                return value.item()
            assert memory(value) in known, f"{function} takes a tensor {tuple(value.shape)} from elsewhere"
            place = f"{known[memory(value)]}+{value.storage_offset()}"
            return f"{place} {value.dtype} {tuple(value.shape)} {value.stride()}"

        for number, (function, args, kwargs, results) in enumerate(self.operations):
            lines.append(f"{function} {told(args)} { {key: told(value) for key, value in kwargs.items()} }")
            for place, result in enumerate(leaves(results)):
                if isinstance(result, Tensor):
                    known.setdefault(memory(result), f"#{number}.{place}")
        return lines


def leaves(tree: Any) -> Iterator[Any]:
    """What an operation is given or gives, out of its tuples, lists and dictionaries."""
    if isinstance(tree, tuple | list | dict):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(branch)
    else:
        yield tree


@cache
def is_view(function: Callable) -> bool:
    return any(result.alias_info is not None and not result.alias_info.is_write for result in function._schema.returns)


@cache
def is_in_place(function: Callable) -> bool:
    return any(result.alias_info is not None and result.alias_info.is_write for result in function._schema.returns)


def memory(tensor: Tensor) -> int:
    """Which memory a tensor looks at; recorders keep all of it, so none is used twice."""
    return tensor.untyped_storage().data_ptr()


def recorded(compute: Callable[[], Any], generator: Generator) -> tuple[Any, Callable[[], None]]:
    """In place of `amoc.engine.capture.CUDAGraphs`: a call to warm up, then one that is recorded."""
    compute()
    with Recorder() as recorder:
        outputs = compute()
    return outputs, recorder.replay
