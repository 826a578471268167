"""A random stream for each image, so that what is drawn for it depends neither on its batch nor on the order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable

import numpy as np

_PLACE = 192  # bits of Philox' counter below an image's number: 2^192 blocks of four words for each


class Streams:
    """Of a batch of images: `draw(shape)` gives (N, *shape), the i-th entry from the stream of the i-th image.

    Philox is a cipher of a counter: seed and purpose make the key, an image's number in the test split the counter.

    Args:
        seed: of the evaluation.
        purpose: what the streams are for, such as "fog", 3.
        numbers: of the N images in the test split.
    """

    def __init__(self, seed: int, *purpose: str | int, numbers: Iterable[int]) -> None:
        derived = hashlib.sha256(json.dumps([seed, *purpose]).encode()).digest()[:16]
        key = int.from_bytes(derived, "little")
        self._each = [np.random.Generator(np.random.Philox(key=key, counter=int(n) << _PLACE)) for n in numbers]

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal, float64."""
        return self._draw(lambda stream: stream.standard_normal(shape))

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """In [low, high), float64."""
        return self._draw(lambda stream: stream.uniform(low, high, shape))

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        """low <= integer < high, int64."""
        return self._draw(lambda stream: stream.integers(low, high, shape))

    def poisson(self, rates: np.ndarray) -> np.ndarray:
        """Counts with these expectations, (N, ...) -> int64 (N, ...)."""
        return np.stack([stream.poisson(rate) for stream, rate in zip(self._each, rates, strict=True)])

    def _draw(self, one: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
        return np.stack([one(stream) for stream in self._each])
