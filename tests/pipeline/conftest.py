from __future__ import annotations

import warnings

import pytest

from amoc.params import PROFILES
from tests.pipeline.graph import Graph


@pytest.fixture(scope="session", params=PROFILES)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The pipeline of each profile; it takes seconds, and none of the tests changes it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "_NoneStep", DeprecationWarning)  # pygtrie's, which DVC uses
        return Graph(tmp_path_factory.mktemp(request.param), request.param)
