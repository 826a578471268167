"""One stage's entry in dvc.lock, without parsing and writing those of all the others."""

from __future__ import annotations

import re

from dvc.stage import PipelineStage
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml

from amoc.refusal import Refusal

EMPTY = "schema: '2.0'\nstages:\n"


def recorded(text: str, stage: PipelineStage) -> str:
    """The text of dvc.lock with this stage as it is now, byte for byte as DVC would write it.

    DVC itself parses and writes the whole file for each stage, which takes 3 seconds with 400 of them.

    Args:
        text: of dvc.lock before, empty if there is none.

    Raises:
        Refusal: it is no dvc.lock.
    """
    text = (text or EMPTY).replace("\nstages: {}\n", "\nstages:\n")
    entry = dumps_yaml({"stages": to_lockfile(stage)}).removeprefix("stages:\n")
    name = entry.partition("\n")[0]  # with two spaces before it; all else of an entry has four or more
    old = re.compile(rf"^{re.escape(name)}\n(?: {{4}}.*\n)*", re.MULTILINE).search(text)
    if old is None:
        entries = re.compile(r"^stages:\n(?: .*\n)*", re.MULTILINE).search(text)
        if entries is None:
            raise Refusal("dvc.lock has no stages: take it from git, or remove it")
        return text[: entries.end()] + entry + text[entries.end() :]
    return text[: old.start()] + entry + text[old.end() :]
