"""Stages on a project of a few images: what they measure of the machine is measured briefly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _brief_peak() -> Iterator[None]:
    """One product of matrices, where a real run takes the best of 0.3 seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amoc.engine.peak.SECONDS", 0.0)
        yield
