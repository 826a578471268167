"""python -m benchmarks.step: how fast a step of AMOC is, views included, beside a plain reference and a matrix product.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import typer
from torch.utils.data import DataLoader

from amoc.engine.device import captures, compiles, describe, device, fastest
from amoc.engine.progress import say
from amoc.params import PROFILES, Params
from amoc.settings import Engine, Precision, Pretraining
from benchmarks.alone import WARM_UP, Measured, alone, measure
from benchmarks.columns import aligned
from benchmarks.operations import MatrixProduct, count
from benchmarks.reference import Trainer, loader
from benchmarks.timing import Spread, seconds_per_call, spread
from benchmarks.workload import MEAN, STD, Workload, first_lr, random_images
from stages import command

SIZE = 32  # CIFAR's images
EPOCH = 50_000  # CIFAR's training images
BATCH_ON_CPU = 64
STEPS = {"cpu": 1, "cuda": 20}  # in a block, which is timed as a whole: a GPU is waited for at its ends only


@dataclass(frozen=True)
class Result:
    """What was measured in one run. Seconds are those of a step."""

    settings: Pretraining
    about: dict[str, Any]
    on_cpu: bool
    precision: Precision
    ours: Spread
    eager: Spread | None  # neither compiled nor captured, where one of them is used
    views: Spread  # augmentation by itself, compiled and captured as in the step
    reference: Spread
    ratios: Spread  # of neighbouring blocks, reference to ours
    flops: int
    reference_flops: int
    peak: float
    memory: int
    blocks: int
    steps: int
    workers: int

    def plain(self) -> dict[str, Any]:
        """The last line."""
        seconds, rate = self.ours.median, self.flops / self.ours.median
        images_per_second = self.settings.batch_size / seconds
        device, threads = self.about["device"], self.about["threads"]
        return {
            "device": f"{device}, {threads} threads" if self.on_cpu else device,
            "dtype": self.precision,
            "step_seconds": seconds,
            "reference_step_seconds": self.reference.median,
            "speedup": self.reference.median / seconds,
            "flops_per_step": self.flops,
            "achieved_flops": rate,
            "matmul_peak_flops": self.peak,
            "fraction_of_peak": rate / self.peak,
            "images_per_second": images_per_second,
            "epoch_seconds_50k": EPOCH / images_per_second,
            "augmentation_share": self.views.median / seconds,
            "peak_memory_bytes": self.memory,
            "blocks": self.blocks,
            "steps": self.steps,
            "quartiles": {
                "step_seconds": [self.ours.low, self.ours.high],
                "reference_step_seconds": [self.reference.low, self.reference.high],
                "speedup": [self.ratios.low, self.ratios.high],  # of neighbouring blocks
            },
        }


def benchmark(
    settings: Pretraining, engine: Engine, precision: Precision, *, blocks: int, steps: int, images: int = EPOCH,
    size: int = SIZE, workers: int, matrices: tuple[int, ...] | None = None,
) -> Result:  # fmt: skip
    """Measure ours alone for its memory, then ours, the reference and a matrix product in turn.

    Args:
        blocks: of steps, of each; the medians are over these.
        steps: in a block.
        images, size: of the random data set: (images, size, size, 3).
        workers: processes that augment for the reference.
        matrices: rows of the square matrices that are multiplied; None for those of the device.
    """
    say("our step alone, for its memory ...")
    by_itself: Measured = alone(measure, settings, engine, precision, images=images, size=size, blocks=1, steps=WARM_UP)
    chosen, pixels = device(engine), random_images(images, size)
    say("our step: operations, warm-up ...")
    ours = Workload(settings, pixels, chosen, precision)
    flops = count(ours)  # of the step as it is written: compiled code would hide some of it from the counter
    warm_up(ours)
    faster = compiles(chosen, engine) or captures(chosen, engine)
    eager = [seconds_per_call(ours, steps) for _ in range(blocks)] if faster else []
    if ours.compile(engine):
        warm_up(ours)
    warm_up(ours.augment)
    say("the reference: operations, warm-up ...")
    with as_pytorch_comes(chosen):
        reference = Trainer(settings, MEAN, STD, chosen, first_lr(settings))
        batches = loader(pixels, settings, workers, pin_memory=chosen.type == "cuda")
        reference_flops = count(lambda: reference_block(reference, batches, 1, warm_up=0))
    product = MatrixProduct(chosen, getattr(torch, precision), matrices)
    our_seconds, view_seconds, reference_seconds = [], [], []
    for block in range(blocks):
        say(f"block {block + 1} of {blocks} ...")
        our_seconds.append(seconds_per_call(ours, steps))
        view_seconds.append(seconds_per_call(ours.augment, steps))
        with as_pytorch_comes(chosen):
            reference_seconds.append(reference_block(reference, batches, steps))
        product.measure()
    ratios = [theirs / own for theirs, own in zip(reference_seconds, our_seconds, strict=True)]
    return Result(
        settings=settings, about=describe(chosen), on_cpu=chosen.type == "cpu", precision=precision,
        ours=spread(our_seconds), eager=spread(eager) if eager else None, views=spread(view_seconds),
        reference=spread(reference_seconds), ratios=spread(ratios), flops=flops, reference_flops=reference_flops,
        peak=product.peak(), memory=by_itself.peak_memory, blocks=blocks, steps=steps, workers=workers,
    )  # fmt: skip


def warm_up(work: Callable[[], object]) -> None:
    for _ in range(WARM_UP):
        work()


def as_pytorch_comes(chosen: torch.device) -> AbstractContextManager:
    """PyTorch's own settings for the scope, where ours differ: on a GPU its float32 convolutions count in TF32.

    The search for the fastest convolution is not its default, but usual in training.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=chosen.type == "cuda", allow_tf32=True)


def reference_block(trainer: Trainer, batches: DataLoader, steps: int, warm_up: int = 1) -> float:
    """Mean seconds of so many steps in a row, after others that are not timed.

    The loader's workers start and end with the block, so that they do not work while something else is timed. The
    batches that are waiting when the clock starts are to the reference's advantage.
    """
    pairs = iter(batches)
    for _ in range(warm_up):
        trainer.step(*next(pairs))
    return seconds_per_call(lambda: trainer.step(*next(pairs)), steps)


# ---------------------------------------------------------------- as text


def table(result: Result) -> str:
    """For a reader; the numbers of `Result.plain` with their spread and what they are made of."""
    s, plain = result.settings, result.plain()
    batch, theirs = s.batch_size, result.reference.median

    def tera(number: float) -> str:
        return f"{number / 1e12:.4g}"

    rows = [
        ("", "AMOC", "reference"),
        ("precision", result.precision, "float32"),
        ("seconds per step (quartiles)", f"{result.ours}", f"{result.reference}"),
        *([("  neither compiled nor captured", f"{result.eager}", "")] if result.eager else []),
        ("  views alone, share of it", f"{plain['augmentation_share']:.1%}", ""),
        ("images per second", f"{plain['images_per_second']:.1f}", f"{batch / theirs:.1f}"),
        (f"seconds per {EPOCH:,} images", f"{plain['epoch_seconds_50k']:.0f}", f"{EPOCH * theirs / batch:.0f}"),
        ("TFLOP per step (products, convolutions)", tera(result.flops), tera(result.reference_flops)),
        ("TFLOP per second", tera(plain["achieved_flops"]), tera(result.reference_flops / theirs)),
        (f"  of a matrix product in {result.precision}", tera(result.peak), ""),
        ("  fraction", f"{plain['fraction_of_peak']:.1%}", ""),
        ("peak memory in MiB, alone", f"{result.memory / 2**20:,.0f}", ""),
        ("speed-up", f"{plain['speedup']:.2f}", ""),
        ("  by neighbouring blocks (quartiles)", f"{result.ratios}", ""),
    ]  # fmt: skip
    return "\n".join([
        f"{s.model.architecture} of width {s.model.width}, batch {batch}, bank {s.bank_length}, PGD-{s.attack.steps}, "
        "views included",
        "{device}, {threads} CPU threads, PyTorch {torch}".format(**result.about),
        f"medians of {result.blocks} blocks of {result.steps} steps each; {result.workers} workers augment for the "
        "reference",
        "", aligned(rows), "",
    ])  # fmt: skip


# ---------------------------------------------------------------- the command


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def engine_of(params: Params, profile: str) -> Engine:
    """The profile's, but for its precision: which one is measured, the device decides, or who asks."""
    return params.engine(profile).model_copy(update={"precision": "float32"})


def asked_for(precision: str, chosen: torch.device) -> Precision:
    return fastest(chosen) if precision == "auto" else precision


ProfileOption = Annotated[Literal[PROFILES], typer.Option(help="Of which the settings are.")]
CompileOption = Annotated[
    Literal["profile", "encoders", "step", "nothing"],
    typer.Option(help="What to compile; profile: what its engine says. On a CPU, encoders need a C++ compiler."),
]
PrecisionOption = Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: the device's fastest.")]


def main(
    profile: ProfileOption = "paper",
    batch_size: Annotated[int | None, typer.Option(min=2, help="Default: the profile's on a GPU, 64 on a CPU.")] = None,
    precision: PrecisionOption = "auto",
    compile: CompileOption = "profile",
    blocks: Annotated[int, typer.Option(min=1, help="Measurements, ours and the reference's in turn.")] = 7,
    steps: Annotated[int | None, typer.Option(min=1, help="In a block. Default: 20 on a GPU, 1 on a CPU.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Of the reference. Default: one per core.")] = None,
) -> None:
    """Seconds, operations and memory of a training step, and how they compare."""
    params = Params.load()
    settings, engine = params.pretraining(profile, "cifar10", "amoc"), engine_of(params, profile)
    chosen = device(engine)
    settings = at_batch_size(settings, batch_size, chosen)
    if compile != "profile":
        engine = engine.model_copy(update={"compile": False if compile == "nothing" else compile})
    result = benchmark(
        settings, engine, asked_for(precision, chosen), blocks=blocks, steps=steps or STEPS[chosen.type],
        workers=cores() if workers is None else workers,
    )  # fmt: skip
    print(table(result))
    print(json.dumps(result.plain()))


def at_batch_size(settings: Pretraining, asked: int | None, chosen: torch.device) -> Pretraining:
    """The settings with the batch that is measured."""
    default = BATCH_ON_CPU if chosen.type == "cpu" else settings.batch_size
    return settings.model_copy(update={"batch_size": asked or default})


if __name__ == "__main__":
    command.run(main)
