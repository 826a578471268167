"""python -m stages.pretrain PROFILE DATASET RUN: an encoder -> models/<profile>/<dataset>/<run>.safetensors."""

from __future__ import annotations

from typing import Annotated

import torch
import typer

from amoc import datasets
from amoc.augment import RandomViews, to_float
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.curves import write_curve
from amoc.engine.device import autocast, captures, compile_in_place, describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import interruptible
from amoc.engine.peak import flops_per_pass, matmul_flops_per_second
from amoc.models.files import save_encoder
from amoc.params import Params
from amoc.pretraining.loop import build_method, pretrain
from amoc.pretraining.passes import passes
from amoc.refusal import Refusal
from stages import command, paths, resumable
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = paths.PROJECT,
    epochs: Annotated[int | None, typer.Option(min=1, help="Only so many epochs: a trial, needs --output.")] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(min=1, help="Only so many steps in each: a trial.")] = None,
    anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Pre-train one encoder."""
    params = Params.load()
    agree(params, profile, (dataset, run))
    settings, engine = params.pretraining(profile, dataset, run), params.engine(profile, dataset, run)
    if epochs is not None and epochs > settings.epochs:
        raise Refusal(f"--epochs is {epochs}, allowed is at most {settings.epochs}, as {run} has in profile {profile}")
    trial = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    if any(trial.values()) and output.resolve() == paths.PROJECT.resolve():
        raise Refusal("a shortened run writes elsewhere than the real one: give --output a folder, not the project's")
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    if settings.batch_size > (images := len(data.train.labels)):
        raise Refusal(
            f"{run} has a batch_size of {settings.batch_size} in profile {profile}, allowed is at most {images}, "
            f"as many as {data_path} has images to train on"
        )
    about = {
        "profile": profile, "dataset": dataset, "run": run, "source": data.source, "branch": settings.branch,
        "settings": settings.plain(), "engine": engine.plain(), "fingerprints": paths.fingerprints(settings.method),
    }  # fmt: skip
    identity = {**about, "data": digest(data_path), **trial}

    chosen = device(engine)
    method = build_method(settings, data.mean, data.std).to(chosen)
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    clock, title = Clock(), f"pretrain {profile} {dataset} {run}"
    with autocast(chosen, engine.precision):
        cost = seconds_per_pass(method.encoder, to_float(pixels[: settings.batch_size].to(chosen)))
    seen = len(pixels)
    if steps_per_epoch is not None:
        seen = min(seen, steps_per_epoch * settings.batch_size * method.updates)
    announce(title, (epochs or settings.epochs) * seen * passes(settings), cost, chosen, anyway)
    speed = {
        "precision": engine.precision,
        "flops_per_image": round(passes(settings) * flops_per_pass(method.encoder, (3, *pixels.shape[1:3]))),
        "matmul_flops_per_second": round(matmul_flops_per_second(chosen, engine.precision)),
    }  # before compiling, and while nothing else runs on the device

    views = RandomViews(settings.views, pixels.shape[1])
    compile_in_place(chosen, engine, views, *method.encoders)
    path = output / paths.encoder(profile, dataset, run)
    with resumable.checkpoint(title, identity, chosen) as checkpoint, interruptible() as stop:
        with clock.phase("total"):
            trained = pretrain(
                method, settings, pixels, labels, device=chosen, precision=engine.precision, checkpoint=checkpoint,
                stop=stop, clock=clock, title=title, views=views, capture=captures(chosen, engine), **trial,
            )  # fmt: skip
        shortened = {"steps_per_epoch": steps_per_epoch} if steps_per_epoch else {}  # fewer epochs show in `epoch`
        ended = {"status": trained.status, "epoch": len(trained.curve), **shortened}
        save_encoder(path, method.encoder, {**about, **ended})
        write_curve(output / paths.curve("pretrain", profile, dataset, run), trained.curve)
        times = {**clock.plain(), **describe(chosen), **speed, "epochs": trained.begun}  # all that the seconds are of
        write_json(output / paths.clock("pretrain", profile, dataset, run), times)
        checkpoint.finish()
    print(f"{path}: {trained.status}, {len(trained.curve)} epochs")


if __name__ == "__main__":
    command.run(main)
