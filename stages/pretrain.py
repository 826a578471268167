"""python -m stages.pretrain PROFILE DATASET RUN: one encoder -> models/<profile>/<dataset>/<run>.safetensors and its curve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from amoc import datasets
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import autocast, describe, device
from amoc.engine.curves import write_curve
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import interruptible
from amoc.models.files import save_encoder
from amoc.params import Params
from amoc.pretraining.loop import build_method, pretrain
from amoc.augment import to_float
from stages import command, paths


def main(
    profile: command.ProfileArgument,
    dataset: command.DatasetArgument,
    run: command.RunArgument,
    output: command.OutputOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Stop after so many epochs of the schedule: a trial, needs --output.")] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(min=1, help="Take so many steps in each epoch: a trial, needs --output.")] = None,
    anyway: command.AnywayOption = False,
) -> None:
    """Pre-train one encoder."""
    params = Params.load()
    settings, engine = params.pretraining(profile, dataset, run), params.engine(profile)
    trial = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    where = paths.outputs(output, trial=any(trial.values()))
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    fingerprints = paths.fingerprints("amoc")
    identity = {"settings": settings.plain(), "engine": engine.plain(), "data": digest(data_path), **fingerprints, **trial}

    chosen = device(engine)
    method = build_method(settings, data.mean, data.std).to(chosen)
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    clock, title = Clock(), f"pretrain {profile} {dataset} {run}"
    batch = to_float(pixels[: settings.batch_size].to(chosen))
    with autocast(chosen, engine.precision):
        cost = seconds_per_pass(method.encoder, batch)
    seen = len(pixels) if steps_per_epoch is None else min(len(pixels), steps_per_epoch * settings.batch_size)
    announce(title, (epochs or settings.epochs) * seen * method.passes(), cost, chosen, engine, anyway)

    with Checkpoint(title.replace(" ", "-"), identity) as checkpoint, interruptible() as stop:
        with clock.phase("total"):
            trained = pretrain(
                method, settings, pixels, labels, device=chosen, precision=engine.precision, checkpoint=checkpoint, stop=stop,
                clock=clock, title=title, epochs=epochs, steps_per_epoch=steps_per_epoch,
            )  # fmt: skip
        about = {"profile": profile, "dataset": dataset, "run": run, "source": data.source, "branch": settings.branch,
                 "settings": settings.plain(), "engine": engine.plain(), "fingerprints": fingerprints, "status": trained.status}  # fmt: skip
        save_encoder(where / paths.encoder(profile, dataset, run), method.encoder, about)
        write_curve(where / paths.curve("pretrain", profile, dataset, run), trained.curve)
        write_json(where / paths.clock("pretrain", profile, dataset, run), {**clock.plain(), **describe(chosen), "epochs": len(trained.curve)})
        checkpoint.finish()
    print(f"{where / paths.encoder(profile, dataset, run)}: {trained.status}, {len(trained.curve)} epochs")


if __name__ == "__main__":
    command.run(main)
