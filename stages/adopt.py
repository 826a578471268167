"""python -m stages.adopt PROFILE DATASET NAME FILE: weights of others -> models/<profile>/<dataset>/<name>..."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from amoc.engine.files import digest
from amoc.models.encoder import Encoder
from amoc.models.files import save_encoder
from amoc.models.foreign import adopt
from amoc.models.layouts import LAYOUTS, Normalisation
from amoc.params import Params
from amoc.pretraining.variants import Branch
from amoc.refusal import Refusal
from stages import command, paths
from stages.pretrained import ADOPTED

Channels = tuple[float, float, float]


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument,
    name: Annotated[str, typer.Argument(help="What to call the encoder: a name that params.yaml does not use.")],
    file: Annotated[Path, typer.Argument(help="The checkpoint: of torch.save, or .safetensors.")],
    epochs: Annotated[int, typer.Option(min=1, help="How long it was pre-trained, for the record.")],
    batch_size: Annotated[int, typer.Option(min=1, help="In batches of how many images, for the record.")],
    layout: Annotated[Literal[tuple(LAYOUTS)] | None, typer.Option(help="Without it, told by the file's keys.")] = None,
    branch: Annotated[Branch | None, typer.Option(help="Norms to evaluate with, instead of the layout's.")] = None,
    mean: Annotated[Channels | None, typer.Option(help="Normalise images so, instead of as the layout says.")] = None,
    std: Annotated[Channels | None, typer.Option(help="Goes with --mean; both for pixels in [0, 1].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of its linear heads; else evaluate.seed.")] = None,
    output: command.OutputOption = paths.PROJECT,
) -> None:  # fmt: skip
    """Make an encoder of this project from weights in another repository's layout, to be evaluated under NAME."""
    params = Params.load()
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise Refusal(f"the name is {name!r}, allowed is a letter a-z, then any of a-z, 0-9 and _")
    for section, taken in (("runs", params.runs(dataset)), ("classifiers", params.networks(dataset))):
        if name in taken:
            raise Refusal(f"{name} is a key of {section}.{dataset} in {params.path}: choose another name")
    if (mean is None) != (std is None):
        raise Refusal("--mean and --std belong together: give both, or neither")
    model, told = params.model(profile), Normalisation(mean, std) if mean and std else None

    encoder, found = adopt(file, model, dataset, layout, told)
    settings = {
        "method": ADOPTED, "layout": found, "md5": digest(file), "branch": branch or LAYOUTS[found].branch,
        "epochs": epochs, "batch_size": batch_size, "seed": params.evaluate.seed if seed is None else seed,
        "model": model.plain(),
    }  # fmt: skip
    about = {
        "profile": profile, "dataset": dataset, "run": name, "source": params.data(profile).source,
        "branch": settings["branch"], "settings": settings, "fingerprints": {}, "status": "ok", "epoch": epochs,
    }  # fmt: skip
    path = output / paths.encoder(profile, dataset, name)
    save_encoder(path, encoder, about)
    print(f"{path}: layout {found}, {settings['branch']} norms, normalises with {_channels(encoder)}")


def _channels(encoder: Encoder) -> str:
    mean, std = ([round(number, 4) for number in buffer.flatten().tolist()] for buffer in (encoder.mean, encoder.std))
    return f"mean {mean}, standard deviation {std}"


if __name__ == "__main__":
    command.run(main)
