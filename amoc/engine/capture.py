"""A computation as one launch: recorded once as a CUDA graph, then replayed without the host walking through it again.

What is recorded has to do the same operations each time, on tensors in the same places, whatever the numbers are: it
reads no value on the host, copies none from there, and draws from one generator that lives on. On a CPU nothing is
recorded; tests do it there with a recorder of their own, which replays operation by operation.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

WARM_UP = 3  # calls before the recorded one: compilers, the search for convolutions and lazy allocations want the host

Tensors = Any  # nested in tuples and dictionaries
Record = Callable[[Callable[[], Tensors], Generator], tuple[Tensors, Callable[[], None]]]  # -> outputs, replay


class CUDAGraphs:
    """Records on a stream of its own, after a warm-up on that stream.

    All graphs share one pool of memory, in which what one of them passes through may lie where another does, or where
    one that is recorded later leaves its outputs. So they are replayed one after the other, and what a replay gives is
    good until the next one of the same graph, or of one that was recorded before it.

    Graphs draw from the registered generator: a replay begins at the seed and offset that it has by then, and moves it
    on as the eager calls would (PyTorch's CUDAGeneratorImpl.cpp, `replay_prologue`).
    """

    def __init__(self) -> None:
        self.stream, self.pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], Tensors], generator: Generator) -> tuple[Tensors, Callable[[], None]]:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                compute()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        with _nothing_collected(), torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            outputs = compute()
        return outputs, graph.replay


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without Python's garbage collector, which could end an older graph meanwhile: that breaks the recording."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Recorded(NamedTuple):
    """One recording: where it reads, where it writes, and how it is run."""

    inputs: tuple[Tensor, ...]
    outputs: Tensors
    gradients: list[Tensor | None]  # of the module's parameters
    replay: Callable[[], None]


class Captured:
    """Is called as `compute` is, and computes the same; from the first call with inputs of a shape on by replaying.

    What a call returns, and the gradients that it leaves in the module's parameters, are good until the next call.

    Args:
        compute: tensors -> tensors; may set the module's gradients anew and change its buffers, not its parameters.
        module: on its device.
        generator: of all that `compute` draws, on that device. To be seeded anew between calls, never replaced.
        record: how to record; a CUDA graph by default.
    """

    def __init__(
        self, compute: Callable[..., Tensors], module: nn.Module, generator: Generator, record: Record | None = None
    ) -> None:
        self.compute, self.module, self.generator = compute, module, generator
        self.record = record or CUDAGraphs()
        self.recorded: dict[tuple, Recorded] = {}  # by the inputs' shapes: an epoch's last batch may be smaller

    def __call__(self, *inputs: Tensor) -> Tensors:
        recorded = self.record_for(*inputs)
        for place, values in zip(recorded.inputs, inputs, strict=True):
            place.copy_(values)
        recorded.replay()
        for parameter, gradient in zip(self.module.parameters(), recorded.gradients, strict=True):
            parameter.grad = gradient
        return recorded.outputs

    def record_for(self, *inputs: Tensor) -> Recorded:
        """The recording for inputs of these shapes, which is made if there is none yet; it leaves no trace."""
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if shapes not in self.recorded:
            self.recorded[shapes] = self._recording(inputs)
        return self.recorded[shapes]

    def _recording(self, inputs: tuple[Tensor, ...]) -> Recorded:
        """Record, and take back what the warm-up changed: buffers and the generator's position."""
        places = tuple(tensor.clone() for tensor in inputs)
        buffers, position = [buffer.clone() for buffer in self.module.buffers()], self.generator.get_state()
        outputs, replay = self.record(lambda: self.compute(*places), self.generator)
        for buffer, before in zip(self.module.buffers(), buffers, strict=True):
            buffer.copy_(before)
        self.generator.set_state(position)
        return Recorded(places, outputs, [parameter.grad for parameter in self.module.parameters()], replay)
