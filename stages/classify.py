"""python -m stages.classify PROFILE DATASET MODEL: a whole network and its early-stopped twin -> models/, a curve."""

from __future__ import annotations

import torch

from amoc import datasets
from amoc.augment import to_float
from amoc.classifying.loop import passes, train_classifier
from amoc.engine.clock import Clock
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.curves import write_curve
from amoc.engine.device import autocast, captures, compile_in_place, describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.generators import generator
from amoc.engine.interruption import interruptible
from amoc.models.classifier import Classifier
from amoc.models.encoder import fresh_encoder
from amoc.models.files import save_classifier
from amoc.models.heads import linear_head
from amoc.params import Params
from stages import command, paths, pretrained, resumable
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, model: command.ModelArgument,
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Train one network with labels, from scratch or from the encoder that its settings name."""
    params = Params.load()
    agree(params, profile, (dataset, model))
    settings, engine = params.classifying(profile, dataset, model), params.engine(profile)
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    about = {
        "profile": profile, "dataset": dataset, "run": model, "source": data.source, "settings": settings.plain(),
        "engine": engine.plain(), "fingerprints": paths.fingerprints("classify"),
    }  # fmt: skip
    if settings.encoder is None:
        encoder = fresh_encoder(settings.model, data.mean, data.std, generator(settings.seed, "weights"))
        branch, origin = "clean", None
    else:
        path = paths.encoder(profile, dataset, settings.encoder)
        encoder, told, _ = pretrained.load(params, profile, dataset, settings.encoder)
        branch, origin = told["branch"], digest(path)
        about |= {"encoder": told, "fingerprints": told["fingerprints"] | about["fingerprints"]}
    identity = {**about, "data": digest(data_path), "origin": origin}

    chosen = device(engine)
    classifier = Classifier(encoder, linear_head(encoder.features, data.classes), branch).to(chosen)
    pixels, labels = torch.from_numpy(data.train.pixels), torch.from_numpy(data.train.labels)
    clock, title = Clock(), f"classify {profile} {dataset} {model}"
    with autocast(chosen, engine.precision):
        cost = seconds_per_pass(classifier, to_float(pixels[: settings.recipe.batch_size].to(chosen)))
    needed = passes(settings.recipe, len(pixels), settings.early_stopping)
    announce(title, needed, cost, chosen, anyway)
    compile_in_place(chosen, engine, classifier.encoder)

    path, twin = (output / paths.classifier(profile, dataset, model, twin=twin) for twin in (False, True))
    with resumable.checkpoint(title, identity, chosen) as checkpoint, interruptible() as stop:
        with clock.phase("total"):
            trained = train_classifier(
                classifier, settings.recipe, pixels, labels, seed=settings.seed, device=chosen,
                precision=engine.precision, early_stopping=settings.early_stopping, checkpoint=checkpoint, stop=stop,
                clock=clock, title=title, capture=captures(chosen, engine),
            )  # fmt: skip
        about["status"], epochs = trained.status, len(trained.curve)
        save_classifier(path, classifier, {**about, "epoch": epochs})
        if trained.best_state is not None:  # else the run ended before its first look, and its twin is the same network
            classifier.load_state_dict(trained.best_state)
        save_classifier(twin, classifier, {**about, "epoch": trained.best_epoch or epochs})
        write_curve(output / paths.curve("classify", profile, dataset, model), trained.curve)
        times = {**clock.plain(), **describe(chosen), "epochs": trained.begun}  # all that the seconds are of
        write_json(output / paths.clock("classify", profile, dataset, model), times)
        checkpoint.finish()
    print(f"{path}: {trained.status}, {epochs} epochs, early-stopped twin from epoch {trained.best_epoch}")


if __name__ == "__main__":
    command.run(main)
