"""Floating-point operations: how many a step needs, and how many a second the machine can do.

Counted are those of matrix products and convolutions, forward and backward, a multiplication and an addition as two,
by their shapes: the taps of a convolution that fall on its padding count too, although a library may leave them out
(3 of 10 on 4x4 pixels, 1 of 25 on 32x32), so that a convolution can seem faster than a matrix product. Not counted is
what passes over a tensor once: norms, activations, softmax, the optimiser, colours. The resampling and the blur of the
views, which are matrix products, are in the count; in a step of the paper's settings they are less than one part in ten
thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import seconds_per_call

SIZES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}  # rows of the square matrices
OPERATIONS = {"cpu": 2**38, "cuda": 2**46}  # of a measurement at each size: a tenth of a second or more


def count(work: Callable[[], object]) -> int:
    """Operations of one call, by its real shapes. The work is done."""
    counter = FlopCounterMode(display=False)
    # Its tracker of modules hooks into autograd such that autograd.grad, which the attack calls, fails (PyTorch issue
    # 131753). This stands in for it: everything belongs to the whole.
    counter.mod_tracker = nullcontext()
    counter.mod_tracker.parents = {"Global"}
    with counter:
        work()
    return counter.get_total_flops()


class MatrixProduct:
    """The rate of a square matrix product, measured whenever `measure` is called.

    Args:
        dtype: of factors and product.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...] | None = None) -> None:
        self.operations = OPERATIONS[device.type]
        draw = torch.Generator(device).manual_seed(1)
        self.matrices = [  # two factors, and a place for their product: fresh memory would cost time of its own
            tuple(torch.randn(size, size, generator=draw, device=device).to(dtype) for _ in range(3))
            for size in sizes or SIZES[device.type]
        ]
        self.rates: list[list[float]] = [[] for _ in self.matrices]  # size -> operations a second, per measurement
        for one, other, product in self.matrices:
            torch.mm(one, other, out=product)  # warms up

    def measure(self) -> None:
        for (one, other, product), rates in zip(self.matrices, self.rates, strict=True):
            each = 2 * len(one) ** 3
            rates.append(each / seconds_per_call(partial(torch.mm, one, other, out=product), self.operations // each))

    def peak(self) -> float:
        """Operations a second at the best size: the median of its measurements, as a step's time is a median."""
        return max(map(median, self.rates))
