"""What a module of tests makes once for all of them is made by one worker: else each worker of pytest -n would."""

from __future__ import annotations

from pathlib import Path

import pytest

ONCE = 'fixture(scope="module"'
MODULES = [path for path in sorted(Path(__file__).parent.rglob("test_*.py")) if f"@pytest.{ONCE}" in path.read_text()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_such_a_module_is_a_group(path):
    assert f'pytest.mark.xdist_group("{path.stem.removeprefix("test_")}")' in path.read_text(encoding="utf-8")


def test_a_group_is_one_module_and_is_kept_together(request):
    assert len(MODULES) > 10 and len({path.stem for path in MODULES}) == len(MODULES)
    options = request.config.getini("addopts")
    assert options[options.index("--dist") + 1] == "loadgroup"
