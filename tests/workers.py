"""Which tests pytest -n keeps together: those of a module that makes something once for all of them, and those of one
profile's pipeline.

Each worker with one of its tests would make it, and a fixture that runs every stage takes longer than most modules.
All other tests go one by one to whichever worker is free. The modules come first, so that none is left for the end.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

from amoc.params import PROFILES

ROOT = Path(__file__).resolve().parents[1]
PROFILE = re.compile(rf"\[({'|'.join(PROFILES)})\b")  # in a test's name


@cache
def makes_something_once(module: str) -> bool:
    return '@pytest.fixture(scope="module"' in (ROOT / module).read_text(encoding="utf-8")


class Together(LoadScopeScheduling):
    """pytest-xdist's own by module, for those modules. (Its marks of groups are lost on pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        """The name of what is sent as a whole."""
        module, _, test = nodeid.partition("::")
        if makes_something_once(module):
            return module
        if module.startswith("tests/pipeline/") and (profile := PROFILE.search(test)):  # the fixture `graph` of it
            return f"tests/pipeline/{profile[0]}"
        return nodeid
