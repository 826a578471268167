"""Random streams by purpose, so that drawing more for one thing changes nothing about another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for each purpose: `generator(run.seed, "views")`, `generator(run.seed, "attack", epoch)`.

    Its seed is 64 bits of the SHA-256 of seed and purpose. PyTorch uses all of them on a GPU and 32 on a CPU: ample for
    the streams of a run, too few to give each of millions of images its own.

    Args:
        seed: the run's.
        purpose: what the stream is for; order and type matter, 1 and "1" are different purposes.
        device: where the random numbers are drawn; the same seed gives other numbers on a GPU than on a CPU.
    """
    return reseed(torch.Generator(device), seed, *purpose)


def reseed(generator: torch.Generator, seed: int, *purpose: str | int) -> torch.Generator:
    """The same generator at the beginning of another stream: it draws what `generator(seed, *purpose)` draws."""
    derived = hashlib.sha256(json.dumps([seed, *purpose]).encode()).digest()[:8]
    return generator.manual_seed(int.from_bytes(derived, "little"))


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Within the scope PyTorch's global CPU generator continues this one, which is on the CPU; then it is as before.

    For layers, whose initialisation takes no generator. What is drawn from `generator` afterwards is something new.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        yield
        generator.set_state(torch.get_rng_state())
