"""How fast the device multiplies matrices, and the FLOPs of a forward pass: a run's speed is told as a share of it."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from amoc.engine.clock import settled_now
from amoc.settings import Precision

SIZE = {"cpu": 1024, "cuda": 8192}  # rows of the square matrices: large enough to keep the device busy
CALLS = {"cpu": 1, "cuda": 10}  # products between two readings of the clock
SECONDS = 0.3


def matmul_flops_per_second(device: torch.device, precision: Precision, size: int | None = None) -> float:
    """Operations a second of a square matrix product in this precision: the best of what fits into 0.3 seconds.

    A multiplication and an addition count as two. The best, because whatever else the machine does only slows it down.

    Args:
        size: rows of the matrices; None takes what suits the device.
    """
    size, calls = size or SIZE[device.type], CALLS[device.type]
    draw = torch.Generator(device).manual_seed(1)  # of its own: the run's numbers must not depend on this
    one, other = (torch.rand(size, size, generator=draw, device=device).to(getattr(torch, precision)) for _ in "ab")
    product = one @ other  # warm up
    begun = before = settled_now()
    fastest = float("inf")
    while True:
        for _ in range(calls):
            torch.mm(one, other, out=product)
        after = settled_now()
        fastest, before = min(fastest, after - before), after
        if after - begun >= SECONDS:
            return calls * 2 * size**3 / fastest


def flops_per_pass(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Operations of the matrix products and convolutions in one forward pass of one image.

    Counted on a copy without data: nothing is computed, and the model's statistics stay.

    Args:
        shape: of an image, (3, H, W).
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(model).to("meta").eval()(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops()
