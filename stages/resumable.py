"""The checkpoint of a command, known by all that its state depends on: where it is computed too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.interruption import Interrupted, Stop


def checkpoint(title: str, identity: dict[str, Any], device: torch.device) -> Checkpoint:
    """Of what is computed on this device: another one has a state of its own, and begins anew.

    There the same seeds draw other numbers, or sums are rounded otherwise, and seconds would be added to its own.

    Args:
        title: the command's name and arguments.
        identity: settings, hashes of the data and fingerprints, as JSON-ready values.
        device: as `amoc.engine.device.device` gave it, which has set the number of threads.
    """
    if device.type == "cuda":
        place = {"device": torch.cuda.get_device_name(device)}
    else:
        place = {"device": device.type, "threads": torch.get_num_threads()}
    return Checkpoint(title.replace(" ", "-"), {**identity, "computed_on": place})


def resumed(checkpoint: Checkpoint, clock: Clock, stop: Stop) -> tuple[Any, Callable[[Any], None]]:
    """What was reached when the state was saved, or None; and a function that saves what is reached from there on.

    The clock goes on from there too. The function raises Interrupted, after the save, when `stop` was requested.
    """
    state = checkpoint.load()
    if state is not None:  # only then: what is under way would count twice
        clock.restore(state["clock"])

    def save(reached: Any) -> None:
        checkpoint.save({"reached": reached, "clock": clock.state()})
        if stop.requested:
            raise Interrupted(stop.signal)

    return state and state["reached"], save
