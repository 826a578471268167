from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from amoc.engine.progress import bar, say
from amoc.engine.sharing import in_parallel

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_log_file_there_is_no_bar(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(bar([3, 1, 2], "epochs")) == [3, 1, 2]
    assert log.getvalue() == ""


def test_on_a_terminal_the_bar_shows_description_and_total_and_yields_the_items(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(bar([3, 1, 2], "epochs")) == [3, 1, 2]
    assert "epochs:" in terminal.getvalue() and "0/3" in terminal.getvalue()


def test_processes_that_share_a_stage_draw_no_bars_over_one_another(monkeypatch):
    def drawn():
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert list(bar([3, 1, 2], "epochs")) == [3, 1, 2]
        yield terminal.getvalue()

    assert "epochs:" in dict(in_parallel({"a": drawn(), "b": drawn()}, 1))["a"]
    assert set(dict(in_parallel({"a": drawn(), "b": drawn()}, 2)).values()) == {""}


def test_a_line_is_out_at_once(monkeypatch):
    class Output(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    flushed: list[str] = []
    monkeypatch.setattr(sys, "stdout", Output())
    say("epoch 1: loss 2.5 ± 0.1")
    assert flushed[-1] == "epoch 1: loss 2.5 ± 0.1\n"


def test_a_line_stands_alone_above_a_bar(monkeypatch):
    terminal = Terminal()  # both streams come out on one screen
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    for _ in bar([1], "epochs"):
        say("a line")
    before, _, after = terminal.getvalue().partition("a line\n")
    assert "epochs:" in before and before.endswith("\r")  # the bar was wiped
    assert "epochs:" in after  # and drawn again


def test_a_stage_that_nobody_listens_to_goes_on(tmp_path):
    """Its reader was killed: what it says is lost, what it computes is not."""
    lines = "for line in range(2000):\n    say('.' * 99)"
    code = f"from amoc.engine.progress import say\n{lines}\nprint('.')\nopen('end', 'w')"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, env=environment
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0
    assert (tmp_path / "end").exists()
