"""Stages on a project of a few images: what they measure of the machine is measured briefly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import classify, evaluate, pretrain
from tests.stages import tiny


@pytest.fixture(scope="module", autouse=True)
def _brief_peak() -> Iterator[None]:
    """One product of matrices, where a real run takes the best of 0.3 seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amoc.engine.peak.SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project with an encoder, its probes and a whole network."""
    folder = tiny.project(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pretrain.main("demo", "cifar10", "amoc")
        evaluate.main("demo", "cifar10", "amoc")
        classify.main("demo", "cifar10", "standard")
    return folder
