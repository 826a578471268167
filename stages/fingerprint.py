"""python -m stages.fingerprint NAME: what a behaviour computes -> results/fingerprints/<name>.json."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

import torch
import typer

from amoc.engine.files import write_json
from amoc.engine.rounding import rounded
from stages import command, paths

BEHAVIOURS = {
    "amoc": "amoc.pretraining.fingerprint",
    "amoc_cheaper": "amoc.pretraining.cheaper_fingerprint",
    "acl": "amoc.pretraining.acl_fingerprint",
    "classify": "amoc.classifying.fingerprint",
    "evaluate": "amoc.evaluating.fingerprint",
    "corrupt": "amoc.corruptions.fingerprint",
}


def main(
    name: Annotated[Literal[tuple(BEHAVIOURS)], typer.Argument(help="The behaviour.")],
    output: command.OutputOption = paths.PROJECT,
) -> None:
    """Compute a fingerprint: numbers that change when the behaviour changes, and stay when only its code does."""
    torch.set_num_threads(1)
    path = output / paths.fingerprint(name)
    write_json(path, rounded(import_module(BEHAVIOURS[name]).fingerprint()))
    print(path)


if __name__ == "__main__":
    command.run(main)
