from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from amoc.engine.interruption import Interrupted, interruptible

PROJECT = Path(__file__).parents[2]
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict]:
    """The handlers before the test, and again after it, whatever it does."""
    started = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has the tests ignore
    before = {number: signal.getsignal(number) for number in ALL}
    yield before
    for number, handler in started.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_sets_the_flag_and_the_block_goes_on(number, handlers):
    with interruptible() as stop:
        assert not stop.requested and stop.signal is None
        signal.raise_signal(number)
        assert stop.requested and stop.signal == number
    assert {number: signal.getsignal(number) for number in ALL} == handlers


def test_a_second_sigint_interrupts_at_once(handlers):
    with pytest.raises(KeyboardInterrupt), interruptible() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        signal.raise_signal(signal.SIGINT)
        raise AssertionError
    assert {number: signal.getsignal(number) for number in ALL} == handlers


def test_sigterm_never_interrupts_and_the_first_signal_is_the_one_reported():
    with interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_return_after_an_exception_and_each_block_starts_anew(handlers):
    with pytest.raises(Interrupted, match="stopped by SIGTERM") as raised, interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
        raise Interrupted(stop.signal)
    assert raised.value.signal == signal.SIGTERM
    assert {number: signal.getsignal(number) for number in ALL} == handlers
    with interruptible() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGINT)  # the first of this block
        assert stop.signal == signal.SIGINT


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_off_the_main_thread_it_does_nothing(handlers):
    seen = []

    def work() -> None:
        with interruptible() as stop:
            seen.append(({number: signal.getsignal(number) for number in ALL}, stop.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(handlers, False)]


def test_the_person_is_told_once(capfd):
    with interruptible():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == "\nstopping as soon as the state is saved (Ctrl-C again: at once)\n"


def test_a_closed_stderr_is_no_reason_to_fail(monkeypatch):
    def closed(descriptor: int, content: bytes) -> int:
        raise OSError("closed")

    monkeypatch.setattr(os, "write", closed)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
    assert stop.requested


# ---------------------------------------------------------------- a process of its own, signalled from outside

STAGE = """
import sys, time
from pathlib import Path
from amoc.engine.interruption import Interrupted, interruptible

try:
    with interruptible() as stop:
        print("begun", flush=True)
        while True:
            time.sleep(0.01)
            if stop.requested:
                if sys.argv[1] == "deaf":
                    print("heard", flush=True)
                    time.sleep(60)
                print("saved", flush=True)
                raise Interrupted(stop.signal)
except Interrupted as interrupted:
    sys.exit(128 + interrupted.signal)
"""


def start(how: str) -> subprocess.Popen:
    command = [sys.executable, "-c", STAGE, how]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, cwd=PROJECT, restore_signals=True)
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("number", ALL)
def test_a_stage_saves_and_ends_with_a_status_that_dvc_takes_for_failure(number):
    with start("obedient") as process:
        process.send_signal(number)
        output, _ = process.communicate()
    assert output == "saved\n"
    assert process.returncode == 128 + number


def test_a_stage_that_is_slow_to_stop_can_be_stopped_at_once():
    with start("deaf") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "heard\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert output == ""
    assert errors.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


def test_an_interruption_passes_between_processes_as_it_is():
    passed = pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM)))
    assert (passed.signal, str(passed)) == (signal.SIGTERM, "stopped by SIGTERM")
