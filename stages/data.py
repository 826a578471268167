"""python -m stages.data PROFILE DATASET: the images as a profile uses them -> data/<profile>/<dataset>.safetensors."""

from __future__ import annotations

import os
from pathlib import Path

from amoc import datasets
from amoc.engine.progress import say
from amoc.params import Params
from stages import command, paths
from stages.settings import agree


def main(
    profile: command.ProfileArgument,
    dataset: command.DatasetArgument,
    output: command.OutputOption = paths.PROJECT,
) -> None:
    """Write the images of a data set, as a profile uses them, to data/<profile>/<dataset>.safetensors.

    CIFAR is taken from the folder that AMOC_DATA_DIR names, else from .data-cache, else downloaded into it.
    """
    params = Params.load()
    agree(params, profile, ("data",))
    settings = params.data(profile)
    cache = Path(os.environ.get("DVC_ROOT") or ".") / ".data-cache"
    built = datasets.build(dataset, settings, datasets.archives(), cache)
    path = output / paths.data(profile, dataset)
    datasets.write(built, path)
    say(f"{path}: {built.provenance}")


if __name__ == "__main__":
    command.run(main)
