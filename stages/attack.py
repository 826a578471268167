"""python -m stages.attack PROFILE DATASET MODEL: attacks -> results/<profile>/<dataset>/attack/<model>.json.

Of a suite over radii, for Figure 5, the folder is radii and not attack.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from amoc import datasets
from amoc.augment import to_float
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import describe, device
from amoc.engine.files import digest, read_json, write_json
from amoc.engine.interruption import interruptible
from amoc.engine.progress import say
from amoc.engine.sharing import processes
from amoc.evaluating.cost import passes
from amoc.evaluating.measurement import Measurement, measure
from amoc.evaluating.suite import State
from amoc.models.classifier import Classifier
from amoc.params import Params
from amoc.refusal import Refusal
from amoc.settings import Attack
from stages import command, paths, pretrained, resumable
from stages.results import doubts, preamble, record
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument,
    model: Annotated[str, typer.Argument(help="A whole network or an encoder: a key of `classifiers` or of `runs`.")],
    suite: Annotated[str, typer.Option(help="A key of `suites`; the twin gets the suite early_stopped.")] = "table5",
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Attack a whole network and its early-stopped twin, or an encoder under the linear protocol `attacked_probe`."""
    params = Params.load()
    whole = pretrained.is_network(params, profile, dataset, model)
    agree(params, profile, ("suites" if whole else "probed_suites", suite))
    engine = params.engine(profile)
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    subject = (network_and_twin if whole else probed_encoder)(params, profile, dataset, model, suite)
    about = subject.about | {"fingerprints": subject.about["fingerprints"] | paths.fingerprints("evaluate")}
    known = {name: {key: attack.plain() for key, attack in chosen.items()} for name, chosen in subject.suites.items()}
    identity = {
        "data": digest(data_path), "files": [digest(path) for path in subject.files],
        "probes": list(about.get("recipes", ())), "suites": known, "evaluate": params.evaluate.plain(),
        "fingerprints": about["fingerprints"],
    }  # fmt: skip

    chosen = device(engine)
    test = to_float(torch.from_numpy(data.test.pixels)).to(chosen)
    labels = torch.from_numpy(data.test.labels).to(chosen)
    kind = "radii" if params.over_radii(suite) else "attack"
    path = output / paths.result(kind, profile, dataset, model)
    keep_other_attacks(path, suite, subject.suites["last"])
    clock, title, shared = Clock(), f"{kind} {profile} {dataset} {model}", processes(chosen)
    cost = seconds_per_pass(subject.networks["last"].to(chosen), test[: params.evaluate.batch_size])
    needed = sum(passes(attacks, len(test), data.classes) for attacks in subject.suites.values())
    announce(title, needed, cost, chosen, anyway)

    measured: dict[str, Measurement] = {}
    with resumable.checkpoint(title, identity, chosen) as checkpoint, interruptible() as stop:
        reached, save = resumable.resumed(checkpoint, clock, stop)
        states: dict[str, State] = reached or {}

        def save_of(name: str, state: State) -> None:
            states[name] = state
            save(states)

        one_network = len(set(identity["files"])) == 1  # the twin is the last epoch: what was found holds for both
        for name, network in subject.networks.items():
            saved = states.get("last" if one_network else name)
            with clock.phase(f"attack {name}"):
                measured[name] = measure(
                    network.to(chosen), test, labels, subject.suites[name], **params.evaluate.plain(),
                    undefended=subject.undefended, saved=saved, save=partial(save_of, name), processes=shared,
                )  # fmt: skip
            say(f"{title} {name}: {measured[name]}")
        top = preamble(kind, params, profile, model, data, about)
        result = record(top, about["status"], measured, twin=subject.twin)
        write_json(path, result)
        times = {**clock.plain(), **describe(chosen), "processes": shared}
        write_json(output / paths.clock(kind, profile, dataset, model), times)
        checkpoint.finish()
    for doubt in doubts(measured):
        print(f"{title}: {doubt}")


def keep_other_attacks(path: Path, suite: str, attacks: Collection[str]) -> None:
    """All suites but those over radii write the same file. (DVC removes it before.)

    Raises:
        Refusal: it is there and has attacks that this suite would take away.
    """
    if not path.exists():
        return
    there = read_json(path).get("measurements", {}).get("last", {})
    lost = [name for name in there if name not in ("clean", *attacks)]
    if lost:
        raise Refusal(f"{path} has {', '.join(lost)}, which the suite {suite} has not: move the file away first")


def suites(params: Params, profile: str, dataset: str, model: str, suite: str) -> dict[str, dict[str, Attack]]:
    """What attacks an encoder's head or a network's last epoch, and its twin."""
    attacks = params.suite(profile, suite)
    if model not in params.networks(dataset):
        return {"last": attacks}
    return {"last": attacks, "early_stopped": params.twin_suite(profile, suite)}


@dataclass(frozen=True)
class Subject:
    """What is attacked: each network by its key in the result, its attacks, the files read and what they tell."""

    networks: dict[str, Classifier]
    suites: dict[str, dict[str, Attack]]
    files: list[Path]
    about: dict[str, Any]
    undefended: bool = False
    twin: int | None = None  # its epoch


def network_and_twin(params: Params, profile: str, dataset: str, model: str, suite: str) -> Subject:
    """A whole network and its twin."""
    files = [paths.classifier(profile, dataset, model), paths.classifier(profile, dataset, model, twin=True)]
    (network, about), (twin, of_twin) = (
        pretrained.load_network(params, profile, dataset, model, twin) for twin in (False, True)
    )
    settings = about["settings"]
    return Subject(
        networks={"last": network, "early_stopped": twin},
        suites=suites(params, profile, dataset, model, suite),
        files=files,
        about=about,
        undefended=settings["encoder"] is None and settings["recipe"]["objective"] == "standard",
        twin=of_twin["epoch"],
    )


def probed_encoder(params: Params, profile: str, dataset: str, run: str, suite: str) -> Subject:
    """An encoder with the linear head that the protocol `attacked_probe` gave it."""
    probe = params.attacked_probe
    encoder, heads, about = pretrained.load_probed(params, profile, dataset, run, [probe])
    return Subject(
        networks={"last": Classifier(encoder, heads[probe], about["branch"]).eval()},
        suites=suites(params, profile, dataset, run, suite),
        files=[paths.encoder(profile, dataset, run), paths.heads(profile, dataset, run)],
        about=about,
    )


if __name__ == "__main__":
    command.run(main)
