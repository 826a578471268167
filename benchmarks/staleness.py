"""python -m benchmarks.staleness PROFILE DATASET RUN: how much of AMOC's loss falls because the bank's keys are old.

InfoNCE compares a query with its key, which the key encoder has just made, and with keys that it made up to K / B steps
ago. As far as it has moved since then, they can be told from the new one by their age, and the loss falls without any
two images being told apart. Here a run is pre-trained, neither compiled nor captured, nothing of it is kept, and every
so many steps its clean term is taken with the bank as it is, and with keys of the very same views made anew; of those,
also with the key of another image in place of each query's own.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import json
from collections import deque
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from math import ceil, log
from statistics import mean
from typing import Annotated

import torch
import typer
from torch import Generator, Tensor

from amoc import datasets
from amoc.engine.batches import batches
from amoc.engine.clock import Clock
from amoc.engine.device import describe, device
from amoc.engine.generators import generator
from amoc.engine.interruption import Stop
from amoc.models.encoder import Encoder
from amoc.params import Params
from amoc.pretraining.amoc import AMOC, Terms, Views
from amoc.pretraining.infonce import info_nce
from amoc.pretraining.loop import build_method, pretrain
from amoc.pretraining.projections import unit
from amoc.pretraining.variants import Branch
from amoc.refusal import Refusal
from amoc.settings import AMOCPretraining, Engine, Pretraining
from benchmarks.columns import aligned
from stages import command, paths

EVERY = 20  # steps from one look to the next: the views of a whole bank are encoded for each


@dataclass(frozen=True)
class Look:
    """The clean term of a batch, before it is learned from.

    Attributes:
        loss: with the bank as it is: what training minimises.
        new_keys: with keys of the bank's own views from the key encoder as it now is.
        other_image: the same, but for the key of another image as each query's own. So large is the loss where no two
            images are told apart; only where all keys are equally near is that ln(1 + K).
        cosine: of a key of the bank and the same key made anew, the mean.
    """

    loss: float
    new_keys: float
    other_image: float
    cosine: float


class Watched(AMOC):
    """AMOC that looks every so many steps, and is the same AMOC otherwise."""

    def __init__(self, encoder: Encoder, settings: AMOCPretraining, generator: Generator) -> None:
        super().__init__(encoder, settings, generator)
        self.looks: list[tuple[int, Look]] = []  # with the number of the step
        self.steps = 0
        self.recent: deque[Tensor] = deque()  # clean key views of the batches whose keys are in the bank

    def losses(self, queries: Views, keys: Views) -> tuple[Terms, dict[Branch, Tensor]]:
        length = self.settings.bank_length
        if self.steps % EVERY == 0 and sum(map(len, self.recent)) >= length:
            self.looks.append((self.steps, self.look(queries["clean"], keys["clean"])))
        self.steps += 1
        self.recent.append(keys["clean"])
        while sum(map(len, self.recent)) - len(self.recent[0]) >= length:
            self.recent.popleft()
        return super().losses(queries, keys)

    @torch.no_grad()
    def look(self, queries: Tensor, keys: Tensor) -> Look:
        """Compare the bank with its own keys made anew."""
        pair, bank = deepcopy(self.pair), self.banks["clean"]  # of the pair a copy: its norms' statistics move
        q, k = unit(pair.query, queries, "clean"), unit(pair.key, keys, "clean")
        anew = torch.cat([unit(pair.key, views, "clean") for views in self.recent])[-len(bank.keys) :]
        places = (bank.position + torch.arange(len(anew), device=anew.device)) % len(anew)  # the oldest first
        with torch.autocast(queries.device.type, enabled=False):
            losses = [
                info_nce(q, positives, negatives, self.settings.temperature).mean().item()
                for positives, negatives in ((k, bank.keys), (k, anew), (k.roll(1, 0), anew))
            ]
            cosine = (bank.keys[places] * anew).sum(dim=1).mean().item()
        return Look(*losses, cosine)


@dataclass(frozen=True)
class Epoch(Look):
    """Means over the looks of an epoch, and how many these are."""

    epoch: int
    looks: int


def by_epoch(looks: list[tuple[int, Look]], steps: int) -> list[Epoch]:
    """The looks of each epoch of so many steps, those of an epoch without any left out."""
    epochs: dict[int, list[Look]] = {}
    for step, look in looks:
        epochs.setdefault(step // steps + 1, []).append(look)
    return [
        Epoch(*(mean(getattr(look, field.name) for look in each) for field in fields(Look)), epoch, len(each))
        for epoch, each in epochs.items()
    ]


def measure(settings: Pretraining, engine: Engine, data: datasets.Dataset, epochs: int | None = None) -> list[Epoch]:
    """Pre-train, and look. For a trial, only so many epochs of those that the settings say.

    Raises:
        Refusal: it is no run of AMOC's own method, its keys enter the bank before the loss, it has fewer epochs than
            are asked for, its loss is no longer finite, or the bank was never full of its keys when it was looked at.
    """
    if type(settings) is not AMOCPretraining or settings.enqueue != "after":
        raise Refusal("allowed is a run of the method amoc whose keys enter the banks after the loss (enqueue: after)")
    if epochs is not None and epochs > settings.epochs:
        raise Refusal(f"--epochs is {epochs}, allowed is at most {settings.epochs}, as the run has")
    chosen = device(engine)
    encoder = build_method(settings, data.mean, data.std).encoder
    method = Watched(encoder, settings, generator(settings.seed, "method"))  # the same draws as build_method's
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    trained = pretrain(
        method, settings, pixels, labels, device=chosen, precision=engine.precision, checkpoint=None, stop=Stop(),
        clock=Clock(), title="staleness", epochs=epochs,
    )  # fmt: skip
    if trained.status == "nan" or not method.looks:
        what = "the loss is not finite" if trained.status == "nan" else "too few steps to fill the bank and look at it"
        raise Refusal(f"nothing to tell: {what}")
    return by_epoch(method.looks, len(batches(torch.arange(len(pixels)), settings.batch_size)))


def table(epochs: list[Epoch]) -> str:
    """For a reader."""
    rows = [("epoch", "loss", "with new keys", "and of another image", "cosine of old and new")]
    rows += [
        (f"{each.epoch}", *(f"{getattr(each, field.name):.3f}" for field in fields(Look))) for each in epochs
    ]  # fmt: skip
    return aligned(rows)


def main(
    profile: command.ProfileArgument,
    dataset: command.DatasetArgument,
    run: command.RunArgument,
    key_momentum: Annotated[float | None, typer.Option(min=0, max=1, help="In place of the run's own.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Only so many: a trial.")] = None,
) -> None:
    """The clean term of a run with the bank's keys and with the same ones made anew, epoch by epoch."""
    params = Params.load()
    settings, engine = params.pretraining(profile, dataset, run), params.engine(profile, dataset, run)
    if key_momentum is not None:
        settings = settings.model_copy(update={"key_momentum": key_momentum})
    looked = measure(settings, engine, datasets.read(paths.data(profile, dataset)), epochs)
    about = describe(device(engine))
    of = {
        "profile": profile, "dataset": dataset, "run": run, "seed": settings.seed, "bank_length": settings.bank_length,
        "batch_size": settings.batch_size, "key_momentum": settings.key_momentum, "every": EVERY,
        "chance": round(log(1 + settings.bank_length), 4), "dtype": engine.precision,
    }  # fmt: skip
    steps = ceil(settings.bank_length / settings.batch_size)
    print(f"{run} of {profile}: {settings.bank_length} keys of {steps} steps, momentum {settings.key_momentum:g}")
    print("{device}, {threads} CPU threads, PyTorch {torch}".format(**about))
    print(f"clean term, {of['chance']:.3f} where all keys are equally near\n\n{table(looked)}\n")
    found = [{name: round(value, 4) for name, value in asdict(each).items()} for each in looked]
    print(json.dumps({**of, **about, "epochs": found}))


if __name__ == "__main__":
    command.run(main)
