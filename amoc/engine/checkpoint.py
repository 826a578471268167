"""The resumable state of one stage: saved often, there after a kill at any moment, gone when the stage is done.

It lies outside DVC's outputs, which DVC deletes before a stage runs again, in one folder per stage and settings:

    state.pt   what the stage needs to go on as if it had never stopped
    lock       who is running; the kernel drops the lock when that process dies, however and wherever it dies
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import socket
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Self

import torch

from amoc.engine.files import write_atomically
from amoc.refusal import Refusal, out_of_memory


class Checkpoint:
    """`with Checkpoint(stage, identity) as checkpoint:` load, save every so often, finish when the outputs are written.

    The folder lies in $AMOC_CHECKPOINTS, else in $DVC_ROOT/.checkpoints (DVC sets DVC_ROOT to the main workspace even
    in its temporary experiments, so those resume too), else in .checkpoints.

    Args:
        stage: a name fit for a folder, such as "pretrain-demo-cifar10-amoc".
        identity: everything the state depends on (settings, hash of the data, fingerprint) as JSON-ready values.
            Another identity is another folder, so a state never meets settings that it was not made with.

    Raises (on entering):
        Refusal: another run of the same stage and identity holds the folder, or the folder cannot be used.
    """

    def __init__(self, stage: str, identity: dict) -> None:
        self._identity = json.dumps(identity, sort_keys=True, allow_nan=False)
        self.folder = _root() / f"{stage}-{hashlib.sha256(self._identity.encode()).hexdigest()[:16]}"
        self.path = self.folder / "state.pt"
        self._lock: int | None = None  # descriptor of the lock file while this run holds it

    def __enter__(self) -> Self:
        try:
            self._lock = _take(self.folder / "lock")
            for unfinished in self.folder.glob(".*.tmp"):  # of a run that was killed while it saved
                unfinished.unlink()
        except OSError as error:
            self._release()
            reason = error.strerror or error
            raise Refusal(f"cannot use {self.folder}: {reason}; set AMOC_CHECKPOINTS to a local folder") from error
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of the folder; the state stays for the next run, unless `finish` was called."""
        if self._lock is not None:
            self._leave()

    def load(self) -> dict | None:
        """The state saved last, its tensors on the CPU, or None where there is none.

        Raises:
            Refusal: the file is damaged, or was saved with another identity.
        """
        self._require_lock()
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                damaged = archive.testzip()  # torch.load does not compare the checksums that torch.save writes
            if damaged is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, state = saved["identity"], saved["state"]
        except OSError as error:
            raise Refusal(f"cannot read {self.path}: {error.strerror or error}") from error
        except Exception as error:  # torch.load promises no particular one
            if out_of_memory(error):  # then the state is as good as it was
                raise
            reason = str(error).partition("\n")[0]
            raise Refusal(f"{self.path} is damaged ({reason}); remove it to start from the beginning") from error
        if identity != self._identity:
            raise Refusal(f"{self.path} was saved with other settings or data; remove it to start from the beginning")
        return state

    def save(self, state: dict) -> None:
        """Replace the state; the previous one stays until the new one is on the disk.

        Args:
            state: dicts and lists, nested at will, of tensors, numbers, strings and None, as `state_dict()` and
                `Generator.get_state()` give them.

        Raises:
            TypeError: something else is in it, which `load` would refuse.
            Refusal: the disk is full; the previous state is untouched.
        """
        self._require_lock()
        _require_loadable(state, "state")
        content = io.BytesIO()
        torch.save({"identity": self._identity, "state": state}, content)
        write_atomically(self.path, content.getvalue())

    def finish(self) -> None:
        """Remove state and folder: the stage's outputs are written, nothing is left to resume."""
        self._require_lock()
        self.path.unlink(missing_ok=True)
        self._leave()

    def _leave(self) -> None:
        (self.folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a state is in it, or the next run's lock already
            self.folder.rmdir()
        self._release()

    def _require_lock(self) -> None:
        if self._lock is None:
            raise RuntimeError("a checkpoint is used inside its with block and before finish()")

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _root() -> Path:
    if chosen := os.environ.get("AMOC_CHECKPOINTS"):
        return Path(chosen)
    return Path(os.environ.get("DVC_ROOT") or ".") / ".checkpoints"


def _take(path: Path) -> int:
    """Hold the lock file and write into it who we are. Returns its open descriptor; closing that lets go.

    The kernel's lock decides who runs, so that a dead process holds nothing and a reused pid deceives nobody; a disk
    that machines share has to know it, as NFS does. What is written serves the message.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the run before us removed the folder between these two lines
            continue
        try:
            _lock(descriptor, path)
            if _is_at(descriptor, path):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the run before us removed the file between our opening and locking it


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(descriptor)
        name = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        raise Refusal(f"{path.parent.name} is running already: {name} holds {path}; wait for it, or stop it") from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def _holder(descriptor: int) -> dict | None:
    """Who the lock file names; None where its writer was killed before it had signed."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return None
    return holder if isinstance(holder, dict) and {"pid", "host"} <= holder.keys() else None


def _require_loadable(value: Any, name: str) -> None:
    """Exact types only: a numpy.float64 is a float too, but torch.load(weights_only=True) refuses it, at the resume."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            _require_loadable(key, f"a key of {name}")
            _require_loadable(item, f"{name}[{key!r}]")
    elif type(value) in (list, tuple):
        for position, item in enumerate(value):
            _require_loadable(item, f"{name}[{position}]")
    elif type(value) not in (torch.Tensor, torch.nn.Parameter, int, float, bool, str, type(None)):
        raise TypeError(f"{name} is a {type(value).__name__}, which cannot be kept in a checkpoint")
