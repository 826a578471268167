"""python -m stages.embed PROFILE DATASET RUN: features in a plane -> results/<profile>/<dataset>/embed/<run>.json."""

from __future__ import annotations

from dataclasses import asdict

import torch

from amoc import datasets
from amoc.augment import to_float
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import device
from amoc.engine.files import write_json
from amoc.engine.rounding import rounded
from amoc.evaluating.embedding import embed
from amoc.params import Params
from stages import command, paths, pretrained
from stages.results import worst
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, run: command.RunArgument,
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Put the features of test images into a plane by t-SNE, and measure how separable the classes are in them."""
    params = Params.load()
    agree(params, profile, (dataset, run), ("embedding",))
    engine, settings = params.engine(profile, dataset, run), params.embedding
    batch_size = params.evaluate.batch_size
    encoder, about, _ = pretrained.load(params, profile, dataset, run)
    data = datasets.read(paths.data(profile, dataset))
    chosen = device(engine)
    test, title = torch.from_numpy(data.test.pixels[:batch_size]), f"embed {profile} {dataset} {run}"
    cost = seconds_per_pass(encoder.to(chosen), to_float(test.to(chosen)))
    announce(title, len(data.train.labels) + len(data.test.labels), cost, chosen, anyway)
    found = embed(encoder, data, settings, about["branch"], batch_size, chosen)
    path = output / paths.result("embed", profile, dataset, run)
    write_json(path, {
        "profile": profile, "dataset": dataset, "run": run, "source": data.source, "settings": about["settings"],
        "fingerprints": about["fingerprints"] | paths.fingerprints("classify"), "embedding": settings.plain(),
        "train_images": len(data.train.labels), "test_images": len(data.test.labels), "classes": data.label_names,
        **rounded(asdict(found)), "status": worst(about["status"], found.status),
    })  # fmt: skip
    if found.status == "ok":
        said = f"{settings.neighbours} neighbours {found.knn:.2f} %, silhouette {found.silhouette:.4f}"
    else:
        said = found.status
    print(f"{title}: {said}")
    print(path)


if __name__ == "__main__":
    command.run(main)
