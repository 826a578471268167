from __future__ import annotations

import pytest

from tests.workers import ROOT, Together, makes_something_once

MODULES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
ONE_BY_ONE = "tests/pretraining/test_bank.py"


def workload(*nodeids: str) -> list[list[str]]:
    """What is sent as a whole, in the order in which it is sent."""
    found: dict[str, list[str]] = {}
    for nodeid in nodeids:
        found.setdefault(Together._split_scope(None, nodeid), []).append(nodeid)
    return list(found.values())


def test_a_module_that_makes_something_once_is_kept_together():
    stages = ["tests/stages/test_stages.py::test_one[a::b]", "tests/stages/test_stages.py::test_other"]
    others = [f"{ONE_BY_ONE}::test_one", f"{ONE_BY_ONE}::test_other"]
    assert workload(stages[0], others[0], stages[1], others[1]) == [stages, [others[0]], [others[1]]]


def test_a_profiles_pipeline_is_kept_together():
    module = "tests/pipeline/test_report_stages.py"
    demo = [f"{module}::test_one[demo]", f"{module}::test_other[demo-amoc]"]
    others = [f"{module}::test_one[small]", f"{module}::test_plain", f"{ONE_BY_ONE}::test_one[demo]"]
    assert workload(demo[0], others[0], demo[1], *others[1:]) == [demo, *([other] for other in others)]


def test_it_is_found_by_its_fixture():
    together = [module for module in MODULES if makes_something_once(module)]
    assert 10 < len(together) < len(MODULES) / 2
    expected = ("pipeline/test_dvc_at_work", "stages/test_stages", "stages/test_kills")
    assert {f"tests/{name}.py" for name in expected} <= {*together}


@pytest.mark.parametrize(("way", "expected"), [("load", Together), ("loadfile", type(None))])
def test_pytest_asks_for_it_unless_another_way_is_chosen(request, monkeypatch, way, expected):
    """`load` is what -n means by itself."""
    config = request.config
    monkeypatch.setattr(config.option, "dist", way)
    monkeypatch.setattr(config.option, "tx", ["popen"])
    assert type(config.hook.pytest_xdist_make_scheduler(config=config, log=None)) is expected
