"""What every test may ask for.

One torch thread: results are compared bit for bit, and the machine may be small.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

# before anything imports torch, and for the processes that tests start
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

gc.disable()  # until the tests are collected: it would look through every module and test again and again

# a shell that starts the tests in the background has them, and their children, ignore the Ctrl-C that some tests send
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """How pytest -n shares the tests out, unless --dist asks for another way."""
    from tests.workers import Together

    return Together(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Before each test, because code under test sets the number too. Tests without torch do not pay for its import."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def generator(request: pytest.FixtureRequest) -> torch.Generator:
    """A torch generator seeded with the test's own name: no two tests share a seed."""
    import torch

    return torch.Generator().manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def cifar_dir() -> Path:
    """The folder with the real CIFAR-10 and CIFAR-100 files."""
    folder = os.environ.get("AMOC_DATA_DIR")
    if not folder:
        pytest.skip("AMOC_DATA_DIR does not name a folder with the real CIFAR files")
    return Path(folder)


@pytest.fixture
def tiny_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml, as the current one: what a stage writes stays in it."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "AMOC_CHECKPOINTS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path
