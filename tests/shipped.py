"""params.yaml as it is shipped, for tests to change at will. It is parsed once: in Python that takes a while."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from amoc.params import Params

FILE = Path(__file__).parents[1] / "params.yaml"
ABSENT = object()  # as a value: the key is not there


@cache
def _parsed() -> str:
    """As JSON, of which a copy is made in no time."""
    return json.dumps(YAML(typ="safe").load(FILE.read_text(encoding="utf-8")))


def settings() -> dict[str, Any]:
    """All of it, as a copy of one's own."""
    return json.loads(_parsed())


def params() -> Params:
    """All of it; that it is legal is for tests/test_params.py."""
    return Params(settings())


def changed(*changes: tuple[str, Any]) -> dict:
    """The shipped file with other values: changed(("profiles.demo.scale.short", 3), ...)."""
    raw = settings()
    for path, value in changes:
        *sections, key = path.split(".")
        place = raw
        for section in sections:
            place = place[section]
        if value is ABSENT:
            del place[key]
        else:
            place[key] = value
    return raw


def written(tmp_path: Path, *replacements: tuple[str, str]) -> Path:
    """The shipped text with some of it replaced."""
    text = FILE.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path
