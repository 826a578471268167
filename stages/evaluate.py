"""python -m stages.evaluate PROFILE DATASET RUN: linear probes -> results/<profile>/<dataset>/evaluate/<run>.json."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

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
from amoc.evaluating.cost import passes as passes_of_attacks
from amoc.evaluating.measurement import Measurement, measure
from amoc.models.classifier import Classifier
from amoc.models.files import save_heads
from amoc.models.heads import linear_head
from amoc.params import Params
from stages import command, paths, pretrained
from stages.results import doubts, record


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = None, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Train each linear head on the frozen encoder and attack what comes out."""
    params = Params.load()
    engine = params.engine(profile, dataset, run)
    recipes, suite = {name: params.recipe(profile, name) for name in params.probes}, params.suite(profile, "probe")
    where = paths.outputs(output, trial=False)
    data_path, encoder_path = paths.data(profile, dataset), paths.encoder(profile, dataset, run)
    encoder, about, seed = pretrained.load(params, profile, dataset, run)
    data = datasets.read(data_path)
    about["fingerprints"] |= paths.fingerprints("classify", "evaluate")
    identity = {
        "data": digest(data_path), "encoder": digest(encoder_path), "engine": engine.plain(),
        "fingerprints": about["fingerprints"],
    }  # fmt: skip

    chosen = device(engine)
    train, train_labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    test = to_float(torch.from_numpy(data.test.pixels)).to(chosen)
    test_labels = torch.from_numpy(data.test.labels).to(chosen)
    clock, title = Clock(), f"evaluate {profile} {dataset} {run}"
    cost = seconds_per_pass(encoder.to(chosen), test[: params.evaluate.batch_size])
    needed = sum(passes(recipe, len(train), None) for recipe in recipes.values())
    needed += len(recipes) * passes_of_attacks(suite, len(test), data.classes)
    announce(title, needed, cost, chosen, anyway)

    heads, measured, checkpoints = {}, {}, []
    with interruptible() as stop, clock.phase("total"), ExitStack() as held:
        for name, recipe in recipes.items():
            own = {**identity, "recipe": recipe.plain()}
            checkpoints.append(held.enter_context(Checkpoint(f"{title} {name}".replace(" ", "-"), own)))
            classifier = Classifier(encoder, linear_head(encoder.features, data.classes), about["branch"]).to(chosen)
            trained = train_classifier(
                classifier, recipe, train, train_labels, seed=seed, device=chosen, precision=engine.precision,
                early_stopping=None, checkpoint=checkpoints[-1], stop=stop, clock=clock, title=f"{title} {name}",
            )  # fmt: skip
            heads[name] = classifier.head
            with clock.phase(f"attack {name}"):
                found = measure(classifier.eval(), test, test_labels, suite, **params.evaluate.plain())
            measured[name] = found if trained.status == "ok" else _broken(found)
            print(f"{title} {name}: {measured[name]}", flush=True)

        plain = {name: recipe.plain() for name, recipe in recipes.items()}
        names = {"profile": profile, "dataset": dataset, "run": run}
        told = {**names, "recipes": plain, "fingerprints": about["fingerprints"]}
        save_heads(where / paths.heads(profile, dataset, run), heads, told)
        result = record("evaluate", params, profile, run, data, about=about, recipes=plain, measured=measured)
        write_json(where / paths.result("evaluate", profile, dataset, run), result)
        write_json(where / paths.clock("evaluate", profile, dataset, run), {**clock.plain(), **describe(chosen)})
        for checkpoint in checkpoints:
            checkpoint.finish()
    for doubt in doubts(measured):
        print(f"{title}: {doubt}")


def _broken(found: Measurement) -> Measurement:
    """What was found of a head whose training did not come to its end."""
    return replace(found, status="nan", doubts=["the loss of the probe ceased to be finite", *found.doubts])


if __name__ == "__main__":
    command.run(main)
