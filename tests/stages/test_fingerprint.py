"""stages.fingerprint: what is committed is what the code does, with every attack at its full length."""

from __future__ import annotations

import pytest

from amoc.engine.files import read_json
from stages import fingerprint, paths
from tests.stages import tiny


@pytest.mark.parametrize("name", fingerprint.BEHAVIOURS)
def test_a_fingerprint_is_the_committed_one(tmp_path, name):
    """Up to what machines differ by; that its own bytes do not differ from run to run is for a slower test."""
    fingerprint.main(name, output=tmp_path)
    files = (folder / paths.fingerprint(name) for folder in (tmp_path, tiny.ROOT))
    here, committed = (list(tiny.values(read_json(file))) for file in files)
    assert len(here) == len(committed)
    for mine, other in zip(here, committed, strict=True):
        assert mine == (pytest.approx(other, rel=1e-3, abs=1e-4) if isinstance(other, float) else other)
        assert not isinstance(mine, float) or mine == float(f"{mine:.6g}")


@pytest.mark.slow
@pytest.mark.parametrize("name", fingerprint.BEHAVIOURS)
def test_a_fingerprint_is_the_same_in_every_run(tmp_path, name):
    for folder in ("one", "two"):
        fingerprint.main(name, output=tmp_path / folder)
    one, two = (tmp_path / folder / paths.fingerprint(name) for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
