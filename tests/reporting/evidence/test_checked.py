"""A file of two keys: what is read of it, and the sentence for each way in which it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amoc.refusal import Refusal
from amoc.reporting.evidence.checked import Checked, find, read


class Note(Checked):
    run: str
    epochs: int


COMMAND = "python -m stages.note amoc"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "note.json"
    path.write_text(json.dumps({"run": "amoc", "epochs": 3}))
    return path


def test_what_it_says_is_what_was_asked_for(file):
    assert find(Note, file, "demo", COMMAND, {"run": "amoc"}) == Note(run="amoc", epochs=3)
    with pytest.raises(Refusal, match=rf"note\.json says that its run is 'amoc', not 'moco': .*`{COMMAND}`"):
        find(Note, file, "demo", COMMAND, {"run": "moco"})


def test_only_the_demo_has_to_have_it(tmp_path):
    assert find(Note, tmp_path / "no.json", "small", COMMAND) is None
    with pytest.raises(Refusal, match=rf"no\.json is missing: run `dvc repro`, or only `{COMMAND}`"):
        find(Note, tmp_path / "no.json", "demo", COMMAND)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"run": "amoc", "epochs": "3"}, "epochs: input should be a valid integer"),
        ({"run": "amoc"}, "epochs: field required"),
        ({"run": "amoc", "epochs": 3, "seconds": 1}, "seconds: extra inputs are not permitted"),
        ([], "Input should be a valid dictionary"),
    ],
)
def test_a_broken_file_is_refused_by_its_key_with_what_mends_it(file, content, sentence):
    file.write_text(json.dumps(content))
    with pytest.raises(Refusal, match=rf"note\.json is broken: {sentence}.*; make it again with `{COMMAND}`"):
        find(Note, file, "paper", COMMAND)
    with pytest.raises(Refusal, match="; remove it and run its stage again"):
        read(Note, file)
