"""python -m stages.evaluate PROFILE DATASET RUN: an encoder's linear protocols -> results/<profile>/<dataset>/evaluate/<run>.json."""

from __future__ import annotations

from typing import Any

import torch

from amoc import datasets
from amoc.augment import to_float
from amoc.classifying.loop import passes, train_classifier
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import interruptible
from amoc.evaluating.checks import NotFinite
from amoc.evaluating.suite import run_suite
from amoc.models.classifier import Classifier
from amoc.models.files import load_encoder, save_heads
from amoc.models.heads import linear_head
from amoc.params import Params
from stages import command, paths
from stages.results import record


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = None, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Train each linear head on the frozen encoder and attack what comes out."""
    params = Params.load()
    settings, engine, where = params.pretraining(profile, dataset, run), params.engine(profile), paths.outputs(output, trial=False)
    recipes = {name: params.recipe(profile, name) for name in params.probes}
    suite = params.suite(profile, "probe")
    data_path, encoder_path = paths.data(profile, dataset), paths.encoder(profile, dataset, run)
    data = datasets.read(data_path)
    encoder, about = load_encoder(encoder_path, expected=settings.model.plain())
    fingerprints = about["fingerprints"] | paths.fingerprints("classify", "evaluate")
    identity = {"data": digest(data_path), "encoder": digest(encoder_path), "engine": engine.plain(), "evaluate": params.evaluate.plain(),
                "suite": {name: attack.plain() for name, attack in suite.items()}, **fingerprints}  # fmt: skip

    chosen = device(engine)
    train, train_labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    test, test_labels = to_float(torch.from_numpy(data.test.pixels)).to(chosen), torch.from_numpy(data.test.labels).to(chosen)
    clock, title = Clock(), f"evaluate {profile} {dataset} {run}"
    encoder.to(chosen)
    cost = seconds_per_pass(encoder, test[: params.evaluate.batch_size])
    announce(title, sum(passes(recipe, len(train), None) for recipe in recipes.values()), cost, chosen, engine, anyway)

    heads, measurements, status, notes = {}, {}, about["status"], []
    with interruptible() as stop, clock.phase("total"):
        for name, recipe in recipes.items():
            classifier = Classifier(encoder, linear_head(encoder.features, data.classes), about["branch"]).to(chosen)
            with Checkpoint(f"{title}-{name}".replace(" ", "-"), {**identity, "recipe": recipe.plain()}) as checkpoint:
                trained = train_classifier(
                    classifier, recipe, train, train_labels, seed=settings.seed, device=chosen, precision="float32",
                    early_stopping=None, checkpoint=checkpoint, stop=stop, clock=clock, title=f"{title} {name}",
                )  # fmt: skip
            heads[name] = classifier.head
            if trained.status != "ok":
                status = trained.status
                notes.append(f"{name}: the loss of the probe ceased to be finite")
            try:
                with clock.phase(f"attack {name}"):
                    outcomes = run_suite(classifier.eval(), test, test_labels, suite, **params.evaluate.plain())
            except NotFinite as failure:
                measurements[name], status = {}, "nan"
                notes.append(f"{name}: {failure}")
                continue
            measurements[name] = {attack: outcome.plain() for attack, outcome in outcomes.items()}
            notes += [f"{name} {attack}: {warning}" for attack, outcome in outcomes.items() for warning in outcome.warnings]

    save_heads(where / paths.heads(profile, dataset, run), heads, {"profile": profile, "dataset": dataset, "run": run, "fingerprints": fingerprints})
    result: dict[str, Any] = record(
        "evaluate", params, profile, run, data, settings=about["settings"], recipes={name: recipe.plain() for name, recipe in recipes.items()},
        fingerprints=fingerprints, status=status, note="; ".join(notes), measurements=measurements,
    )  # fmt: skip
    write_json(where / paths.result("evaluate", profile, dataset, run), result)
    write_json(where / paths.clock("evaluate", profile, dataset, run), {**clock.plain(), **describe(chosen)})
    for name, outcomes in measurements.items():
        print(f"{title} {name}: " + ", ".join(f"{attack} {outcome['accuracy']:.2f} %" for attack, outcome in outcomes.items()))


if __name__ == "__main__":
    command.run(main)
