"""python -m stages.attack PROFILE DATASET MODEL: a suite of attacks on one model -> results/<profile>/<dataset>/attack/<model>.json."""

from __future__ import annotations

from typing import Annotated, Any

import torch
import typer

from amoc import datasets
from amoc.augment import to_float
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import Interrupted, interruptible
from amoc.evaluating.checks import NotFinite, masked_gradients, void_attacks
from amoc.evaluating.cost import passes
from amoc.evaluating.suite import run_suite
from amoc.models.classifier import Classifier
from amoc.models.files import load_classifier, load_encoder, load_heads
from amoc.params import Params
from stages import command, paths
from stages.results import record


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, model: command.ModelArgument,
    suite: Annotated[str, typer.Option(help="A key of `suites`; the twin gets the suite early_stopped.")] = "table5",
    output: command.OutputOption = None, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Attack a whole network and its early-stopped twin, or an encoder under the linear protocol `attacked_probe`."""
    params = Params.load()
    engine, where = params.engine(profile), paths.outputs(output, trial=False)
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    suites = {"last": params.suite(profile, suite)}
    if model in params.networks(dataset):
        files = {"last": paths.classifier(profile, dataset, model), "early_stopped": paths.classifier(profile, dataset, model, twin=True)}
        models = {name: load_classifier(path) for name, path in files.items()}
        suites["early_stopped"] = {name: attack for name, attack in params.suite(profile, "early_stopped").items() if name in suites["last"]}
        about, recipes = models["last"][1], {}
    else:
        settings = params.pretraining(profile, dataset, model)
        files = {"last": paths.encoder(profile, dataset, model), "heads": paths.heads(profile, dataset, model)}
        encoder, about = load_encoder(files["last"], expected=settings.model.plain())
        heads, trained = load_heads(files["heads"])
        models = {"last": (Classifier(encoder, heads[params.attacked_probe], about["branch"]).eval(), about)}
        about = about | {"fingerprints": about["fingerprints"] | trained["fingerprints"]}
        recipes = {params.attacked_probe: params.recipe(profile, params.attacked_probe).plain()}
    fingerprints = about["fingerprints"] | paths.fingerprints("evaluate")

    chosen = device(engine)
    test, labels = to_float(torch.from_numpy(data.test.pixels)).to(chosen), torch.from_numpy(data.test.labels).to(chosen)
    clock, title = Clock(), f"attack {profile} {dataset} {model}"
    batch = test[: params.evaluate.batch_size]
    cost = seconds_per_pass(models["last"][0].to(chosen), batch)
    announce(title, sum(passes(attacks, len(test), data.classes) for attacks in suites.values()), cost, chosen, engine, anyway)

    measurements: dict[str, Any] = {}
    status, notes = about["status"], []
    with interruptible() as stop:
        for name, attacks in suites.items():
            network = models[name][0].to(chosen)
            identity = {"data": digest(data_path), "model": {key: digest(path) for key, path in files.items()}, "evaluate": params.evaluate.plain(),
                        "attacks": {key: attack.plain() for key, attack in attacks.items()}, "fingerprints": fingerprints}  # fmt: skip
            with Checkpoint(f"{title}-{name}".replace(" ", "-"), identity) as checkpoint:
                state = checkpoint.load() or {"saved": {}, "clock": clock.state()}
                clock.restore(state["clock"])

                def save(partial: dict[str, Any], checkpoint: Checkpoint = checkpoint) -> None:
                    checkpoint.save({"saved": partial, "clock": clock.state()})
                    if stop.requested:
                        raise Interrupted(stop.signal)

                try:
                    with clock.phase(f"attack {name}"):
                        outcomes = run_suite(network, test, labels, attacks, **params.evaluate.plain(), saved=state["saved"], save=save)
                except NotFinite as failure:
                    measurements[name], status = {}, "nan"
                    notes.append(f"{name}: {failure}")
                    continue
            measurements[name] = {attack: outcome.plain() for attack, outcome in outcomes.items()}
            notes += [f"{name} {attack}: {warning}" for attack, outcome in outcomes.items() for warning in outcome.warnings]
            notes += [f"{name}: {warning}" for warning in masked_gradients(network, batch, labels[: len(batch)])]
            if model.startswith("standard"):  # a mistuned attack is silently void; on an undefended model it shows
                notes += [f"{name}: {attack} leaves more than half of an undefended model's images" for attack in void_attacks(outcomes)]
            print(f"{title} {name}: " + ", ".join(f"{key} {outcome['accuracy']:.2f} %" for key, outcome in measurements[name].items()), flush=True)

    result = record(
        "attack", params, profile, model, data, settings=about["settings"], recipes=recipes, fingerprints=fingerprints,
        status=status, note="; ".join(notes), measurements=measurements,
    )  # fmt: skip
    write_json(where / paths.result("attack", profile, dataset, model), result)
    write_json(where / paths.clock("attack", profile, dataset, model), {**clock.plain(), **describe(chosen)})
    for note in notes:
        print(f"{title}: {note}")


if __name__ == "__main__":
    command.run(main)
