"""python -m stages.evaluate PROFILE DATASET RUN: protocols -> results/<profile>/<dataset>/evaluate/<run>.json.

With --on another data set: an encoder of DATASET, on the images and labels of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal

import torch
import typer
from torch import nn

from amoc import datasets
from amoc.augment import to_float
from amoc.classifying.loop import Trained, passes, train_classifier
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import captures, compile_in_place, describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import Stop, interruptible
from amoc.engine.progress import say
from amoc.engine.sharing import in_parallel, processes
from amoc.evaluating.cost import passes as passes_of_attacks
from amoc.evaluating.measurement import Measurement, measure
from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.files import load_classifier, save_classifier, save_heads
from amoc.models.heads import linear_head
from amoc.params import DATASETS, PROBES, Params
from amoc.pretraining.variants import Branch
from amoc.settings import Attack, Engine, Recipe
from stages import command, paths, pretrained, resumable
from stages.results import doubts, preamble, record
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    protocols: Annotated[str, typer.Option(help="A key of `protocols` in params.yaml, or probes.")] = PROBES,
    on: Annotated[Literal[DATASETS] | None, typer.Option(help="Data set to evaluate on, if not the encoder's.")] = None,
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Train each linear head on the frozen encoder, or a copy of the whole network, and attack what comes out.

    Other protocols than the probes have <run>.<protocols> in the names of their files. An encoder that is evaluated ON
    another data set than it was pre-trained on has its files with that data set's, named <run>.from_<dataset>; it
    normalises images as it did in pre-training.
    """
    params = Params.load()
    agree(params, profile, (dataset, run), ("protocols", protocols))
    engine = params.engine(profile, dataset, run)
    recipes, suite = params.protocols(profile, protocols)
    target, source = on or dataset, dataset if on not in (None, dataset) else None
    key = paths.by(run, protocols, source)
    data_path, encoder_path = paths.data(profile, target), paths.encoder(profile, dataset, run)
    encoder, origin, seed = pretrained.load(params, profile, dataset, run)
    data = datasets.read(data_path)
    about = origin | {"fingerprints": origin["fingerprints"] | paths.fingerprints("classify", "evaluate")}
    identity = {
        "data": digest(data_path), "encoder": digest(encoder_path), "engine": engine.plain(),
        "fingerprints": about["fingerprints"],
    }  # fmt: skip
    attacks = {"suite": {name: a.plain() for name, a in suite.items()}, "evaluate": params.evaluate.plain()}
    names = {"profile": profile, "dataset": target, "run": run} | ({"pretrained_on": source} if source else {})

    chosen = device(engine)
    test = to_float(torch.from_numpy(data.test.pixels)).to(chosen)
    test_labels = torch.from_numpy(data.test.labels).to(chosen)
    clock, title, shared = Clock(), f"evaluate {profile} {target} {key}", processes(chosen)
    cost = seconds_per_pass(encoder.to(chosen), test[: params.evaluate.batch_size])
    announce(title, needed(recipes, suite, len(data.train.labels), len(test), data.classes), cost, chosen, anyway)

    with interruptible() as stop, ExitStack() as held:
        checkpoints: dict[str, list[Checkpoint]] = {}  # of the training by each recipe, and of the attacks on it
        for name, recipe in recipes.items():
            known = identity | {"recipe": recipe.plain()}
            checkpoints[name] = [
                held.enter_context(resumable.checkpoint(f"{title} {part}", of_part, chosen))
                for part, of_part in ((name, known), (f"{name} attacked", known | attacks))
            ]

        def protocol(name: str) -> Iterator[Evaluated]:
            recipe, (training, attacking), own = recipes[name], checkpoints[name], Clock()
            with own.phase("total"):
                classifier, trained = train(
                    encoder, about["branch"], recipe, data, engine, seed=seed, chosen=chosen, checkpoint=training,
                    stop=stop, clock=own, title=f"{title} {name}",
                )  # fmt: skip
                if recipe.train == "all":  # into its file first, which rounds: what is measured is what is kept
                    path = output / paths.classifier(profile, target, f"{key}.{name}")
                    told = {"recipe": recipe.plain(), "engine": engine.plain(), "encoder": origin, "seed": seed}
                    told |= {"fingerprints": about["fingerprints"], "status": trained.status}
                    save_classifier(path, classifier, {**names, **told, "epoch": len(trained.curve)})
                    classifier = load_classifier(path)[0].to(chosen)
                reached, save = resumable.resumed(attacking, own, stop)
                with own.phase(f"attack {name}"):
                    found = measure(
                        classifier.eval(), test, test_labels, suite, **params.evaluate.plain(), saved=reached, save=save
                    )
            found = found if trained.status == "ok" else _broken(found)
            say(f"{title} {name}: {found}")
            yield Evaluated(found, classifier.head, own.state())

        done = dict(in_parallel({name: protocol(name) for name in recipes}, shared, stop))
        measured = {name: done[name].measurement for name in recipes}
        heads = {name: done[name].head for name, recipe in recipes.items() if recipe.train == "head"}
        for name in recipes:
            clock.add(done[name].clock)
        plain = {name: recipe.plain() for name, recipe in recipes.items()}
        if heads:
            told = {"recipes": {name: plain[name] for name in heads}, "fingerprints": about["fingerprints"]}
            save_heads(output / paths.heads(profile, target, key), heads, {**names, **told})
        top = preamble("evaluate", params, profile, run, data, about | {"recipes": plain})
        result = record(top, about["status"], measured, protocols=protocols, pretrained_on=source)
        write_json(output / paths.result("evaluate", profile, target, key), result)
        times = {**clock.plain(), **describe(chosen), "processes": shared}
        write_json(output / paths.clock("evaluate", profile, target, key), times)
        for checkpoint in reversed(list(chain(*checkpoints.values()))):  # what was attacked never outlives the training
            checkpoint.finish()
    for doubt in doubts(measured):
        print(f"{title}: {doubt}")


@dataclass(frozen=True)
class Evaluated:
    """What one protocol comes to: what was measured, the last layer, and its seconds."""

    measurement: Measurement
    head: nn.Linear
    clock: dict[str, Any]


def train(
    encoder: Encoder, branch: Branch, recipe: Recipe, data: datasets.Dataset, engine: Engine, *, seed: int,
    chosen: torch.device, checkpoint: Checkpoint, stop: Stop, clock: Clock, title: str,
) -> tuple[Classifier, Trained]:  # fmt: skip
    """A linear head on the frozen encoder, or a copy of the whole network, by a recipe on all training images."""
    trunk = encoder if recipe.train == "head" else deepcopy(encoder)  # the other protocols need it as it is
    classifier = Classifier(trunk, linear_head(encoder.features, data.classes), branch).to(chosen)
    if recipe.train == "all":
        compile_in_place(chosen, engine, trunk)
    trained = train_classifier(
        classifier, recipe, torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels), seed=seed,
        device=chosen, precision=engine.precision, early_stopping=None, checkpoint=checkpoint, stop=stop, clock=clock,
        title=title, capture=captures(chosen, engine),
    )  # fmt: skip
    return classifier, trained


def needed(
    recipes: Mapping[str, Recipe], suite: Mapping[str, Attack], train: int, test: int, classes: int
) -> float:  # fmt: skip
    """Encoder passes of one image that training by each recipe and attacking the outcomes takes at most."""
    training = sum(passes(recipe, train, None) for recipe in recipes.values())
    return training + len(recipes) * passes_of_attacks(suite, test, classes)


def _broken(found: Measurement) -> Measurement:
    """What was found of a network whose training did not come to its end."""
    return replace(found, status="nan", doubts=["training ceased to be finite", *found.doubts])


if __name__ == "__main__":
    command.run(main)
