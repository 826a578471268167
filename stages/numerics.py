"""python -m stages.numerics PROFILE DATASET RUN: rounding errors -> results/<profile>/<dataset>/numerics/<run>.json."""

from __future__ import annotations

from dataclasses import asdict

import torch

from amoc import datasets
from amoc.engine.device import device
from amoc.engine.files import write_json
from amoc.engine.rounding import rounded
from amoc.params import Params
from amoc.pretraining.numerics import BATCHES, STEPS, WARM_UP, errors
from stages import command, paths


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = None,
) -> None:  # fmt: skip
    """Hold each way to compute a step against exact numbers: precision, compiler, fused optimiser, capture."""
    params = Params.load()
    settings, engine = params.pretraining(profile, dataset, run), params.engine(profile, dataset, run)
    where = paths.outputs(output, trial=False)
    data = datasets.read(paths.data(profile, dataset))
    chosen = device(engine)
    found = errors(settings, torch.from_numpy(data.train.pixels), chosen, data.mean, data.std)
    path = where / paths.result("numerics", profile, dataset, run)
    write_json(path, {
        "profile": profile, "dataset": dataset, "run": run, "settings": settings.plain(), "device": chosen.type,
        "fingerprints": paths.fingerprints(settings.method), "warm_up": WARM_UP, "batches": BATCHES, "steps": STEPS,
        "paths": rounded({name: asdict(each) for name, each in found.items()}),
    })  # fmt: skip
    for name, each in found.items():
        print(f"{name}: loss {each.loss:.2g}, gradient {each.gradient:.2g}, drift {each.drift:.2g}")
    print(path)


if __name__ == "__main__":
    command.run(main)
