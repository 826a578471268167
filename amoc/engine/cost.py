"""What a stage will cost, said before it starts: nobody begins 200 epochs on a laptop by accident."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import torch

from amoc.engine.clock import settled_now
from amoc.engine.progress import say
from amoc.refusal import Refusal

LONGEST_HOURS_ON_CPU = 6


@torch.no_grad()
def seconds_per_pass(model: torch.nn.Module, images: torch.Tensor) -> float:
    """Seconds that one forward pass of one image takes, measured now: the median of five batches after a warm-up.

    Runs in eval mode, so that no running statistic moves; each module's mode is put back. Call it under the autocast
    that the work will use.

    Args:
        model: on the device that counts, not compiled.
        images: one batch as the work will have it, on the same device, (B, 3, H, W).
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        model(images)
        times = [settled_now()]
        for _ in range(5):
            model(images)
            times.append(settled_now())
    finally:
        for module, training in modes:
            module.training = training
    return median(after - before for before, after in pairwise(times)) / len(images)


def announce(what: str, passes: float, seconds_per_pass: float, device: torch.device, anyway: bool) -> None:
    """Print what the work will cost, before it starts.

    Args:
        what: the work, such as "pretrain demo cifar10 amoc".
        passes: forward passes of one image through the encoder. Going back costs as much again for the gradient of
            the input alone, and twice as much for that of the weights too.
        seconds_per_pass: see the function of that name.
        anyway: do not refuse.

    Raises:
        Refusal: on a CPU it would take more than LONGEST_HOURS_ON_CPU.
    """
    seconds = passes * seconds_per_pass
    rounded = float(f"{passes:.2g}")  # an estimate has two digits
    say(f"{what}: about {rounded:,.0f} encoder passes, {duration(seconds)} on {device.type}")
    if device.type == "cpu" and not anyway and seconds > 3600 * LONGEST_HOURS_ON_CPU:
        raise Refusal(
            f"{what} would take about {seconds / 3600:,.1f} h on this CPU, and more than {LONGEST_HOURS_ON_CPU} h is "
            "only begun there with the option --anyway or, under DVC, with AMOC_ANYWAY=1 in the environment"
        )


def duration(seconds: float) -> str:
    """'12 s', '3 min', '4.5 h': as much as an estimate is worth."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
