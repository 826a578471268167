"""python -m benchmarks.roofline: where a step's time goes, by kind of operation, beside the least that it would take.

The step is eager, so that each operation shows. The least is what its multiplications take at the rate of a matrix
product, or what reading its inputs and writing its results takes at the rate of a copy, whichever is longer (Williams
et al., 2009). A compiler gets below the second by fusing operations: what they pass to each other stays on the chip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from amoc.engine.device import describe, device
from amoc.engine.progress import say
from amoc.params import Params
from benchmarks.operations import MatrixProduct
from benchmarks.step import SIZE, PrecisionOption, ProfileOption, asked_for, at_batch_size, engine_of, warm_up
from benchmarks.timing import seconds_per_call
from benchmarks.workload import Workload, random_images
from stages import command

KINDS = {  # of operations by a part of their name, the first that fits
    "optimiser, momentum": ("_foreach", "_fused"),
    "convolutions": ("conv",),
    "norms": ("batch_norm",),
    "matrix products": ("mm", "addmv", "matmul", "linear"),
    "copies, casts": ("copy", "clone", "cat", "stack", "contiguous", "aten::to"),
    "elementwise, sums": ("",),
}
COPIED = {"cpu": 2**28, "cuda": 2**31}  # bytes of the tensor whose copying gives the rate of the memory


@dataclass(frozen=True)
class Work:
    """What one operation has to do: multiplications and additions, bytes read and written."""

    flops: int
    bytes: int


class Tally(TorchDispatchMode):
    """Within the scope, backward included: the work of each operation, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.work: dict[str, list[Work]] = {kind: [] for kind in KINDS}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        results = function(*args, **kwargs)
        if not function.is_view:
            formula = flop_registry.get(function.overloadpacket)
            flops = formula(*args, **kwargs, out_val=results) if formula else 0
            moved = sum(x.nbytes for x in tree_leaves((args, kwargs, results)) if isinstance(x, Tensor))
            self.work[kind_of(function.overloadpacket.__name__)].append(Work(flops, moved))
        return results


def kind_of(name: str) -> str:
    return next(kind for kind, parts in KINDS.items() if any(part in name for part in parts))


def seconds_by_kind(work: Callable[[], object], chosen: torch.device) -> Counter[str]:
    """Of one call, as PyTorch's profiler sees it: on a GPU the seconds of its kernels, not of the waiting between."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if chosen.type == "cuda" else [])]
    with profile(activities=activities, acc_events=True) as profiled:  # acc_events only silences a warning
        work()
        if chosen.type == "cuda":
            torch.cuda.synchronize()
    seconds: Counter[str] = Counter()
    for event in profiled.key_averages():
        if event.key.startswith("aten::"):
            spent = event.self_device_time_total if chosen.type == "cuda" else event.self_cpu_time_total
            seconds[kind_of(event.key)] += spent / 1e6
    return seconds


def bytes_per_second(chosen: torch.device, size: int | None = None) -> float:
    """Read and written by copying a large tensor; the fastest of ten, after one that is not timed."""
    source = torch.zeros(size or COPIED[chosen.type], dtype=torch.uint8, device=chosen)
    target = source.clone()
    return 2 * source.nbytes / min(seconds_per_call(lambda: target.copy_(source), 1) for _ in range(10))


def rows(work: dict[str, list[Work]], seconds: Counter[str], peak: float, memory: float) -> list[tuple]:
    """Of the table: kind, operations, TFLOP, GB, seconds, share of all, least seconds."""
    total = sum(seconds.values())
    table = []
    for kind, done in work.items():
        least = sum(max(one.flops / peak, one.bytes / memory) for one in done)
        flops, moved = sum(one.flops for one in done), sum(one.bytes for one in done)
        table.append((kind, len(done), flops / 1e12, moved / 1e9, seconds[kind], seconds[kind] / total, least))
    table.sort(key=lambda row: -row[4])
    sums = [sum(column) for column in list(zip(*table, strict=True))[1:]]
    return [*table, ("all", *sums)]


def main(
    profile: ProfileOption = "paper",
    batch_size: Annotated[int | None, typer.Option(min=2, help="Default: the profile's on a GPU, 64 on a CPU.")] = None,
    precision: PrecisionOption = "auto",
) -> None:
    """Seconds of a step by kind of operation, and the least that they would take."""
    params = Params.load()
    settings, engine = params.pretraining(profile, "cifar10", "amoc"), engine_of(params, profile)
    chosen = device(engine)
    settings, used = at_batch_size(settings, batch_size, chosen), asked_for(precision, chosen)
    work = Workload(settings, random_images(settings.batch_size, SIZE), chosen, used)
    say("warm-up, operations, seconds, rates ...")
    warm_up(work)
    with Tally() as tally:
        work()
    seconds = seconds_by_kind(work, chosen)
    product = MatrixProduct(chosen, getattr(torch, used))
    for _ in range(5):
        product.measure()
    peak, memory = product.peak(), bytes_per_second(chosen)
    print("{device}, {threads} CPU threads, PyTorch {torch}".format(**describe(chosen)), f"{used}, batch", end=" ")
    print(f"{settings.batch_size}; {peak / 1e12:.4g} TFLOP/s, {memory / 1e9:.4g} GB/s")
    print(f"{'':20} {'operations':>10} {'TFLOP':>9} {'GB':>9} {'seconds':>9} {'share':>7} {'least':>9}")
    for kind, count, flops, moved, spent, share, least in rows(tally.work, seconds, peak, memory):
        print(f"{kind:20} {count:10d} {flops:9.4g} {moved:9.4g} {spent:9.4g} {share:7.1%} {least:9.4g}")


if __name__ == "__main__":
    command.run(main)
