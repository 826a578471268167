"""Files written so that a reader, or a machine that loses power, finds the old content or the new, never a part."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from amoc.refusal import Refusal


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace the file at `path` by `content` (text as UTF-8) in one step; missing parent folders are made.

    When this returns, the content is on the disk. When it raises or is killed, the file is the old one or the new one,
    whole.

    Raises:
        Refusal: the disk is full, or the file cannot be written for another reason of the system's.
    """
    path = Path(path)
    content = content.encode() if isinstance(content, str) else content
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # in the same folder: a rename is atomic only there
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # content before name: else a power cut can leave the new name on nothing
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise Refusal(f"cannot write {path}: {reason}; make room or choose another place, and start again") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what network file systems say that cannot do it
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically; equal values give equal bytes.

    Raises:
        ValueError: `value` holds NaN or an infinity, which JSON cannot say; nothing is written.
        Refusal: see `write_atomically`.
    """
    try:
        text = as_json(value)
    except ValueError as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}") from error
    write_atomically(path, text)


def as_json(value: Any) -> str:
    """JSON with sorted keys, indent 1 and a newline at the end. Raises ValueError for NaN or an infinity."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        Refusal: there is no such file, it cannot be read, or it is not JSON (NaN and infinities are not).
    """
    try:
        return json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing; run the stage that makes it (`dvc repro`), or fetch it") from error
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # JSON's and Unicode's decoding errors are among these
        raise Refusal(f"{path} is not JSON: {error}; remove it and run its stage again") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def digest(path: Path) -> str:
    """MD5 of the file's bytes in hexadecimal: what DVC writes into dvc.lock for a file.

    Raises:
        Refusal: there is no such file, or it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError as error:
        raise Refusal(f"{path} is missing; run the stage that makes it (`dvc repro`), or fetch it") from error
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}") from error
