"""params.yaml as it is shipped, for tests to change at will. It is parsed once: in Python that takes a while."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from amoc.params import Params

FILE = Path(__file__).parents[1] / "params.yaml"


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
