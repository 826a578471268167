"""Ctrl-C, SIGTERM and SIGHUP set a flag, at which a loop looks where it can save; none raises in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


class Interrupted(Exception):
    """The stage was asked to stop and did, with its state saved.

    Whoever catches it must end the process with a status other than 0 (by custom 128 + signal): DVC records a stage
    that exits with 0 as complete.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal = signal_number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signal).name}"


@dataclass
class Stop:
    """Whether to stop: `signal` is the number of the first signal that asked for it, None as long as none did."""

    signal: int | None = None

    @property
    def requested(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def interruptible() -> Iterator[Stop]:
    """Within the block SIGINT, SIGTERM and SIGHUP only set the flag; a second SIGINT raises KeyboardInterrupt at once.

        with interruptible() as stop:
            for epoch in ...:
                ...
                checkpoint.save(...)
                if stop.requested:
                    raise Interrupted(stop.signal)

    The handlers from before return at the end of the block. A signal that the process ignores (as shells arrange for
    background jobs) stays ignored, and off the main thread, where Python allows no handlers, the flag is never set.
    """
    stop = Stop()
    interrupts, process = 0, os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts > 1:
            raise KeyboardInterrupt
        if stop.signal is None:
            stop.signal = number
            if os.getpid() != process:  # forked off within the block: that one has said it
                return
            with contextlib.suppress(OSError):  # not print: the signal may have come in the middle of another print
                os.write(2, b"\nstopping as soon as the state is saved (Ctrl-C again: at once)\n")

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: Python could not restore it
                previous[number] = signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
