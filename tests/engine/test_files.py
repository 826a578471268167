from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dvc.fs import LocalFileSystem
from dvc_data.hashfile.hash import file_md5

from amoc.engine.files import digest, read_json, write_atomically, write_json
from amoc.refusal import Refusal

PROJECT = Path(__file__).parents[2]


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---------------------------------------------------------------- write_atomically


@pytest.mark.parametrize(
    ("content", "expected"), [(b"\x00\xff\n", b"\x00\xff\n"), ("± ε\r\n", b"\xc2\xb1 \xce\xb5\r\n"), ("", b"")]
)
def test_content_is_written_and_parents_are_made(tmp_path, content, expected):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]
    write_atomically(path, "shorter")
    assert path.read_bytes() == b"shorter"


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_into_dvcs_cache_is_replaced_not_followed(tmp_path):
    cached, linked, symbolic = tmp_path / "cached", tmp_path / "linked", tmp_path / "symbolic"
    cached.write_text("old")
    linked.hardlink_to(cached)
    symbolic.symlink_to(cached)
    write_atomically(linked, "new")
    write_atomically(symbolic, "new")
    assert cached.read_text() == "old"
    assert linked.read_text() == symbolic.read_text() == "new"
    assert not symbolic.is_symlink()


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (os, "replace"), (Path, "open"), (Path, "mkdir")])
def test_a_full_disk_keeps_the_old_content(tmp_path, monkeypatch, owner, name):
    path = tmp_path / "file"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full_disk)
        with pytest.raises(Refusal, match=f"cannot write {path}: No space left on device"):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", ["old", None])
def test_a_disk_that_fills_while_writing_keeps_the_old_content(tmp_path, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_text(old)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # the kernel writes a part, then refuses
    try:
        with pytest.raises(Refusal, match=f"cannot write {path}: File too large"):
            write_atomically(path, b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [(found, found.read_text()) for found in tmp_path.iterdir()] == ([(path, old)] if old else [])


def test_an_interruption_keeps_the_old_content(tmp_path, monkeypatch):
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(Refusal, match=f"cannot write {tmp_path}/file/below: "):
        write_atomically(tmp_path / "file" / "below", "new")
    with pytest.raises(Refusal, match=f"cannot write {tmp_path}: "):
        write_atomically(tmp_path, "new")
    assert (tmp_path / "file").read_text() == "old"


def test_content_is_on_the_disk_before_it_has_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(("fsync", target.name, target.read_text() if target.is_file() else None))
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        calls.append(("replace", source.name, target.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(tmp_path / "file", "content")
    unfinished = f".file.{os.getpid()}.tmp"
    assert calls == [("fsync", unfinished, "content"), ("replace", unfinished, "file"), ("fsync", tmp_path.name, None)]


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_is_good_enough(tmp_path, monkeypatch, number, refused):
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    if refused:
        with pytest.raises(Refusal, match=os.strerror(number)):
            write_atomically(tmp_path / "file", "content")
    else:
        write_atomically(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "file"
    contents = {bytes([letter]) * 100_000 for letter in b"ab"}
    write_atomically(path, b"a" * 100_000)
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for content in contents:
            write_atomically(path, content)
    done.set()
    reader.join()
    assert seen and seen <= contents


# ---------------------------------------------------------------- JSON


def test_json_has_one_form(tmp_path):
    write_json(tmp_path / "file.json", {"b": [1, 2.5, None, True], "a": {"d": "ε", "c": {}}})
    assert (tmp_path / "file.json").read_text(encoding="utf-8") == (
        '{\n "a": {\n  "c": {},\n  "d": "ε"\n },\n "b": [\n  1,\n  2.5,\n  null,\n  true\n ]\n}\n'
    )


@pytest.mark.parametrize("value", [{"a": 0.1 + 0.2, "b": 1e-300, "c": [[], "\n", "ü"]}, [], "text", None, 2**70])
def test_json_comes_back(tmp_path, value):
    write_json(tmp_path / "file.json", value)
    assert read_json(tmp_path / "file.json") == value


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_not_written(tmp_path, number):
    path = tmp_path / "file.json"
    write_json(path, "old")
    with pytest.raises(ValueError, match=f"{path} cannot be written as JSON"):
        write_json(path, {"accuracy": [1.0, number]})
    assert read_json(path) == "old"


@pytest.mark.parametrize(
    "content", [b"", b'{"a": 1', b'{"a": NaN}', b"[-Infinity]", b"\xff\xfe\xff", b"{} {}", b"{'a': 1}"]
)
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=f"{path} is not JSON: .*; remove it"):
        read_json(path)


@pytest.mark.parametrize("read", [read_json, digest])
def test_a_missing_file_is_refused(tmp_path, read):
    with pytest.raises(Refusal, match=f"{tmp_path}/missing is missing"):
        read(tmp_path / "missing")
    with pytest.raises(Refusal, match=f"cannot read {tmp_path}: Is a directory"):
        read(tmp_path)


# ---------------------------------------------------------------- digest


@pytest.mark.parametrize("content", [b"", b"text\r\nwith both\n line ends\r", bytes(range(256)) * 10_000])
def test_digest_is_dvcs(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert digest(path) == file_md5(str(path), LocalFileSystem())


# ---------------------------------------------------------------- imports


@pytest.mark.parametrize("module", ["files", "interruption", "clock", "progress"])
def test_without_torch(module):
    script = f"import sys, amoc.engine.{module}; print([name for name in sys.modules if name.startswith('torch')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stdout == "[]\n"
