"""python -m benchmarks.evaluation: what PGD20 and AutoAttack cost here, beside plain calls of foolbox and pyautoattack.

A network is trained with PGD-AT first, so that attacks find what they find on real ones. Prints a table and, as its
last line, the numbers as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import foolbox
import pyautoattack
import torch
import typer
from torch import Tensor, nn

from amoc import datasets
from amoc.augment import to_float
from amoc.classifying.loop import train_classifier
from amoc.engine.clock import Clock
from amoc.engine.device import describe, device
from amoc.engine.generators import generator
from amoc.engine.interruption import Stop
from amoc.engine.progress import say
from amoc.evaluating.suite import run_suite
from amoc.models.classifier import Classifier
from amoc.models.encoder import fresh_encoder
from amoc.models.heads import linear_head
from amoc.params import Params
from amoc.settings import Attack, AutoAttack, Classifying, Engine, Precision, ProjectedGradient
from benchmarks.columns import aligned
from benchmarks.step import ProfileOption
from benchmarks.timing import Spread, seconds_per_call, spread
from stages import command

ATTACKS = ("linf_pgd20", "linf_autoattack")


@dataclass(frozen=True)
class Compared:
    """One attack, by us and by a plain call in turn. Each block has a seed of its own, the same number on both sides.

    With it AutoAttack draws the same random numbers on both, PGD others.

    Attributes:
        ours, plain: seconds.
        ratios: of the blocks, ours to plain.
        standing, plain_standing: the images (n,) that the model still gets right, for each block.
    """

    ours: Spread
    plain: Spread
    ratios: Spread
    standing: list[Tensor]
    plain_standing: list[Tensor]

    def accuracies(self) -> tuple[float, float]:
        """Percent, ours and plain, over all blocks."""
        return tuple(100 * torch.stack(side).double().mean().item() for side in (self.standing, self.plain_standing))

    def differing(self) -> int:
        """At most so many images stand on one side and not on the other, in a block."""
        return max((one != other).sum().item() for one, other in zip(self.standing, self.plain_standing, strict=True))

    def differing_by_seed(self) -> int | None:
        """The same between two plain calls of different seeds: what random starts make of borderline images."""
        pairs = combinations(self.plain_standing, 2)
        return max(((one != other).sum().item() for one, other in pairs), default=None)


@dataclass(frozen=True)
class Result:
    """What was measured in one run.

    Attributes:
        model: what it is, in words.
        clean: percent of the images that it gets right.
    """

    model: str
    clean: float
    about: dict[str, Any]
    batch_size: int
    blocks: int
    compared: dict[str, Compared]
    attacks: dict[str, Attack]

    def plain(self) -> dict[str, Any]:
        """The last line."""
        line: dict[str, Any] = {**self.about, "clean": self.clean, "batch_size": self.batch_size, "blocks": self.blocks}
        for name, one in self.compared.items():
            ours, plain = one.accuracies()
            line[name] = {
                "attack": self.attacks[name].plain(), "images": len(one.standing[0]),
                "seconds": one.ours.median, "plain_seconds": one.plain.median,
                "ratio": one.ratios.median, "accuracy": ours, "plain_accuracy": plain,
                "images_that_differ": one.differing(), "images_that_differ_by_seed": one.differing_by_seed(),
            }  # fmt: skip
        return line


# ---------------------------------------------------------------- the plain calls


def plain_model(model: nn.Module) -> nn.Module:
    """As it comes without thought for speed: parameters that require gradients, PyTorch's default memory layout."""
    return deepcopy(model).to(memory_format=torch.contiguous_format).requires_grad_()


def by_foolbox(
    model: nn.Module, images: Tensor, labels: Tensor, attack: ProjectedGradient, batch_size: int, seed: int
) -> Tensor:
    """PGD in Linf on all images, in batches: which are still right (n,)."""
    torch.manual_seed(seed)
    subject = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    pgd = foolbox.attacks.LinfPGD(rel_stepsize=attack.relative_step, steps=attack.steps, random_start=True)
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat([~pgd(subject, *batch, epsilons=attack.epsilon)[2] for batch in batches]).cpu()


def by_pyautoattack(
    model: nn.Module, images: Tensor, labels: Tensor, attack: AutoAttack, batch_size: int, seed: int
) -> Tensor:
    """The standard evaluation of the first images that the settings name: which are still right (n,)."""
    images, labels = images[: attack.images], labels[: attack.images]
    adversary = pyautoattack.AutoAttack(model, norm="Linf", eps=attack.epsilon, seed=seed, device=images.device)
    adversary.square.n_queries = attack.square_queries
    _, answers = adversary.run_standard_evaluation(images, labels, batch_size=batch_size)
    return (answers == labels).cpu()


# ---------------------------------------------------------------- the measurement


def compare(
    model: nn.Module, images: Tensor, labels: Tensor, name: str, attack: Attack, *, batch_size: int, blocks: int
) -> Compared:
    """One attack through `run_suite`, as the stages call it, and through a plain call, in turn.

    Args:
        model: images -> logits, in eval mode.
        images: (n, 3, H, W) in [0, 1], on the model's device.
        labels: (n,).
        blocks: seeds 1 to `blocks`.
    """
    plainly = by_foolbox if isinstance(attack, ProjectedGradient) else by_pyautoattack
    their_model, their_images = plain_model(model), images.contiguous()  # as torchvision's ToTensor lays them out
    seconds: tuple[list[float], list[float]] = [], []
    standing: tuple[list[Tensor], list[Tensor]] = [], []
    for seed in range(1, blocks + 1):
        say(f"{name}, block {seed} of {blocks} ...")
        given = {"batch_size": batch_size, "seed": seed}
        sides: list[Callable[[], Tensor]] = [
            lambda given=given: run_suite(model, images, labels, {name: attack}, **given)[name].correct,
            lambda given=given: plainly(their_model, their_images, labels, attack, **given),
        ]
        for times, found, side in zip(seconds, standing, sides, strict=True):
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):  # as ours does by itself
                times.append(seconds_per_call(lambda found=found, side=side: found.append(side()), 1))
    ratios = [ours / plain for ours, plain in zip(*seconds, strict=True)]
    return Compared(spread(seconds[0]), spread(seconds[1]), spread(ratios), *standing)


def trained(
    settings: Classifying, data: datasets.Dataset, chosen: torch.device, engine: Engine, epochs: int
) -> Classifier:
    """A network from scratch, by a recipe cut to so many epochs, on all training images."""
    encoder = fresh_encoder(settings.model, data.mean, data.std, generator(settings.seed, "weights"))
    classifier = Classifier(encoder, linear_head(encoder.features, data.classes), "clean")
    train_classifier(
        classifier, settings.recipe.model_copy(update={"epochs": epochs}), torch.from_numpy(data.train.pixels),
        torch.from_numpy(data.train.labels), seed=settings.seed, device=chosen, precision=engine.precision,
        early_stopping=None, checkpoint=None, stop=Stop(), clock=Clock(), title="PGD-AT",
    )  # fmt: skip
    return classifier.eval()


# ---------------------------------------------------------------- as text


def table(result: Result) -> str:
    """For a reader."""
    rows = [("", *result.compared)]
    columns = [
        [
            str(len(one.standing[0])), str(getattr(result.attacks[name], "square_queries", "")),
            f"{one.plain}", f"{one.ours}", f"{one.ratios}",
            "{1:.2f}, {0:.2f}".format(*one.accuracies()), str(one.differing()),
            "" if one.differing_by_seed() is None else str(one.differing_by_seed()),
        ]
        for name, one in result.compared.items()
    ]  # fmt: skip
    titles = [
        "test images", "queries of Square at most",
        "seconds, plain call (quartiles)", "seconds, ours (quartiles)", "ours to plain, by blocks",
        "still right in percent, plain and ours", "images that differ", "  between plain calls of two seeds",
    ]  # fmt: skip
    rows += [(title, *cells) for title, cells in zip(titles, zip(*columns, strict=True), strict=True)]
    reduced = any(getattr(attack, "search_precision", "float32") != "float32" for attack in result.attacks.values())
    throughout = "but for the search of our AutoAttack" if reduced else "throughout"
    return "\n".join([
        f"{result.model}; {result.clean:.2f} % right without attack",
        "{device}, {threads} CPU threads, PyTorch {torch}".format(**result.about),
        f"medians of {result.blocks} blocks, ours and plain in turn; float32 {throughout}, batches of "
        f"{result.batch_size}",
        "", aligned(rows), "",
    ])  # fmt: skip


# ---------------------------------------------------------------- the command


def main(
    profile: ProfileOption = "small",  # in the demo's 8x8 images there is little to gain
    epochs: Annotated[int | None, typer.Option(min=1, help="Of PGD-AT. Default: the profile's.")] = None,
    images: Annotated[int, typer.Option(min=1, help="The first so many test images.")] = 600,
    queries: Annotated[int | None, typer.Option(min=1, help="Of Square. Default: the profile's.")] = None,
    search_precision: Annotated[
        Precision | None, typer.Option(help="Of our AutoAttack's search, not of what counts. Default: the profile's.")
    ] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Measurements, ours and the plain calls in turn.")] = 2,
) -> None:
    """Seconds and robust accuracy of PGD20 and AutoAttack, ours and by plain calls."""
    params = Params.load()
    settings, engine = params.classifying(profile, "cifar10", "pgd_at"), params.engine(profile)
    chosen = device(engine)
    data = datasets.build("cifar10", params.data(profile), datasets.archives(), Path(".data-cache"))
    epochs = epochs or settings.recipe.epochs
    say(f"training {settings.model.architecture} of width {settings.model.width}: PGD-AT, {epochs} epochs ...")
    model = trained(settings, data, chosen, engine, epochs)
    test = to_float(torch.from_numpy(data.test.pixels[:images])).to(chosen)
    labels = torch.from_numpy(data.test.labels[:images]).to(chosen)

    pgd, ensemble = (params.attack(profile, name) for name in ATTACKS)
    ensemble = ensemble.model_copy(
        update={
            "search_precision": search_precision or ensemble.search_precision,
            "square_queries": queries or ensemble.square_queries,
            "images": len(test),
        }
    )
    attacks = dict(zip(ATTACKS, (pgd, ensemble), strict=True))
    batch_size = params.evaluate.batch_size
    clean = run_suite(model, test, labels, {}, batch_size=batch_size, seed=1)["clean"].accuracy
    compared = {
        name: compare(model, test, labels, name, attack, batch_size=batch_size, blocks=blocks)
        for name, attack in attacks.items()
    }
    shape = f"{settings.model.architecture} of width {settings.model.width}, {test.shape[2]}x{test.shape[3]} pixels"
    result = Result(
        model=f"{shape}, PGD-AT, {epochs} epochs", clean=clean, about=describe(chosen), batch_size=batch_size,
        blocks=blocks, compared=compared, attacks=attacks,
    )  # fmt: skip
    print(table(result))
    print(json.dumps(result.plain()))


if __name__ == "__main__":
    command.run(main)
