"""python -m benchmarks.staleness PROFILE DATASET RUN: how much of AMOC's loss falls because the bank's keys are old.

InfoNCE compares a query with its key, which the key encoder has just made, and with keys that it made up to K / B steps
ago. As far as it has moved since then, they can be told from the new one by their age, and the loss falls below chance
without any two images being told apart. Here a run is pre-trained as it always is, nothing of it is kept, and every so
many steps the clean term is taken twice: with the bank as it is, and with keys of the very same views made anew.

Prints a table and, as its last line, the numbers as JSON.
"""

from __future__ import annotations

import json
from collections import deque
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import ceil, log
from statistics import mean
from typing import Annotated

import torch
import typer
from torch import Generator, Tensor

from amoc import datasets
from amoc.engine.clock import Clock
from amoc.engine.device import describe, device
from amoc.engine.generators import generator
from amoc.engine.interruption import interruptible
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
        bank: with the bank as it is: what training minimises.
        anew: with keys of the bank's own views from the key encoder as it now is.
        alike: mean cosine of a key of the bank and the same key made anew.
    """

    bank: float
    anew: float
    alike: float


class Watched(AMOC):
    """AMOC that looks at every so manieth step, and is the same AMOC otherwise."""

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
            fresh = info_nce(q, k, anew, self.settings.temperature).mean()
            alike = (bank.keys[places] * anew).sum(dim=1).mean()
        return Look(self.contrast(q, k, "clean").mean().item(), fresh.item(), alike.item())


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
        Epoch(*(mean(getattr(look, name) for look in each) for name in ("bank", "anew", "alike")), epoch, len(each))
        for epoch, each in epochs.items()
    ]


def measure(settings: Pretraining, engine: Engine, data: datasets.Dataset, epochs: int | None = None) -> list[Epoch]:
    """Pre-train, and look. For a trial, only so many epochs of those that the settings say.

    Raises:
        Refusal: the method has no bank, or keys enter it before the loss.
        Interrupted: by a signal.
    """
    if type(settings) is not AMOCPretraining or settings.enqueue != "after":
        raise Refusal("allowed is a run of the method amoc whose keys enter the banks after the loss (enqueue: after)")
    chosen = device(engine)
    encoder = build_method(settings, data.mean, data.std).encoder
    method = Watched(encoder, settings, generator(settings.seed, "method"))  # the same draws as build_method's
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    with interruptible() as stop:
        pretrain(
            method, settings, pixels, labels, device=chosen, precision=engine.precision, checkpoint=None, stop=stop,
            clock=Clock(), title="staleness", epochs=epochs,
        )  # fmt: skip
    return by_epoch(method.looks, ceil(len(pixels) / settings.batch_size))


def table(epochs: list[Epoch]) -> str:
    """For a reader."""
    rows = [("epoch", "with the bank", "keys made anew", "alike")]
    rows += [(f"{each.epoch}", f"{each.bank:.3f}", f"{each.anew:.3f}", f"{each.alike:.3f}") for each in epochs]
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
    chance, about = log(1 + settings.bank_length), describe(device(engine))
    batches = ceil(settings.bank_length / settings.batch_size)
    print(f"{run} of {profile}: {settings.bank_length} keys of {batches} batches, momentum {settings.key_momentum:g}")
    print("{device}, {threads} CPU threads, PyTorch {torch}".format(**about))
    print(f"clean term, of which {chance:.3f} is chance\n\n{table(looked)}\n")
    found = [{name: round(value, 4) for name, value in asdict(each).items()} for each in looked]
    about = {"profile": profile, "dataset": dataset, "run": run, "key_momentum": settings.key_momentum, **about}
    print(json.dumps({**about, "dtype": engine.precision, "chance": round(chance, 4), "epochs": found}))


if __name__ == "__main__":
    command.run(main)
