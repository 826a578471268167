"""python -m stages.numerics PROFILE DATASET RUN: rounding errors -> results/<profile>/<dataset>/numerics/<run>.json."""

from __future__ import annotations

from dataclasses import asdict

import torch

from amoc import datasets
from amoc.augment import to_float
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import device
from amoc.engine.files import write_json
from amoc.engine.rounding import rounded
from amoc.params import Params
from amoc.pretraining.loop import build_method
from amoc.pretraining.numerics import BATCHES, PATHS, STEPS, WARM_UP, errors
from amoc.pretraining.passes import passes
from amoc.settings import Pretraining
from stages import command, paths
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Hold each way to compute a step against exact numbers: precision, compiler, fused optimiser, capture."""
    params = Params.load()
    agree(params, profile, (dataset, run))
    settings, engine = params.pretraining(profile, dataset, run), params.engine(profile, dataset, run)
    data = datasets.read(paths.data(profile, dataset))
    chosen = device(engine)
    method = build_method(settings, data.mean, data.std).to(chosen)
    pixels = torch.from_numpy(data.train.pixels)
    cost = seconds_per_pass(method.encoder, to_float(pixels[: settings.batch_size]).to(chosen))
    announce(f"numerics {profile} {dataset} {run}", needed(settings), cost, chosen, anyway)
    found = errors(settings, pixels, chosen, data.mean, data.std)
    path = output / paths.result("numerics", profile, dataset, run)
    write_json(path, {
        "profile": profile, "dataset": dataset, "run": run, "settings": settings.plain(), "device": chosen.type,
        "fingerprints": paths.fingerprints(settings.method), "warm_up": WARM_UP, "batches": BATCHES, "steps": STEPS,
        "paths": rounded({name: asdict(each) for name, each in found.items()}),
    })  # fmt: skip
    for name, each in found.items():
        said = (f"{what} {error:.2g}" for what, error in asdict(each).items() if error is not None)
        print(f"{name}: {', '.join(said)}")
    print(path)


def needed(settings: Pretraining) -> float:
    """Encoder passes of one image; compiling takes minutes more."""
    return (WARM_UP + len(PATHS) * (STEPS + BATCHES)) * settings.batch_size * passes(settings)


if __name__ == "__main__":
    command.run(main)
