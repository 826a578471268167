"""python -m stages.sheet PROFILE DATASET: what corruptions look like -> results/<profile>/<dataset>/sheet/...."""

from __future__ import annotations

import base64

import numpy as np

from amoc import datasets
from amoc.corruptions.catalogue import SEVERITIES
from amoc.corruptions.source import find
from amoc.engine.files import write_json
from amoc.engine.progress import bar, say
from amoc.params import Params
from stages import command, paths
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument, output: command.OutputOption = paths.PROJECT
) -> None:
    """Keep one test image under every corruption and severity, and how far the first batch is moved by each.

    Needs no network.
    """
    params = Params.load()
    agree(params, profile, ("sheet",))
    fingerprints = paths.fingerprints("corrupt")
    data = datasets.read(paths.data(profile, dataset))
    source = find(data, datasets.archives(), params.evaluate.seed)
    images = data.test.pixels[: params.evaluate.batch_size]
    shown = colourful(images)
    tiles, distances = {}, {}
    for name in bar(source.names, f"sheet {profile} {dataset}"):
        made = [source.images(name, severity, range(len(images))) for severity in SEVERITIES]
        tiles[name] = [packed(each[shown]) for each in made]
        distances[name] = [round(float(np.abs(each.astype(np.int64) - images).mean()), 3) for each in made]
    path = output / paths.result("sheet", profile, dataset, "corruptions")
    write_json(path, {
        "profile": profile, "dataset": dataset, "source": data.source, "images": source.kind,
        "evaluate": params.evaluate.plain(), "fingerprints": fingerprints,
        "number": shown, "label": data.label_names[data.test.labels[shown]], "size": images.shape[1],
        "clean": packed(images[shown]), "tiles": tiles, "measured_images": len(images), "distances": distances,
    })  # fmt: skip
    say(f"{path}: test image {shown}, {source.kind}")


def colourful(images: np.ndarray) -> int:
    """The image with the most colour, the first of several: on a grey one, some corruptions cannot be seen."""
    chroma = images.max(axis=3).astype(np.int64) - images.min(axis=3)
    return int(chroma.mean(axis=(1, 2)).argmax())


def packed(image: np.ndarray) -> str:
    """uint8 (H, W, 3) -> base64 of its bytes."""
    return base64.b64encode(np.ascontiguousarray(image).tobytes()).decode("ascii")


if __name__ == "__main__":
    command.run(main)
