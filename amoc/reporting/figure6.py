"""Figure 6: AMOC over the length of its memory banks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amoc.reporting import words
from amoc.reporting.encoders import Line, Listing
from amoc.reporting.sweep import BAR, Axis, Curves

LINES = (
    Line("amoc_k1024", "amoc_k1024"),
    Line("amoc_k4096", "amoc_k4096"),
    Line("amoc_k16384", "amoc_k16384"),
    Line("amoc", "amoc", ("amoc_seed2",)),
    Line("amoc_k65536", "amoc_k65536"),
)


def length(settings: Mapping[str, Any]) -> str:
    """'AMOC, K = 1024': the length that was used."""
    return f"{words.encoder(settings)}, K = {settings['bank_length']}"


TABLE = Listing(
    "figure6",
    "Figure 6: AMOC over the length K of its memory banks, accuracy (%)",
    LINES,
    caption=f"K scales with the data of a profile, and is never less than one and a half batches. {BAR}\n",
    call=length,
    draw=Curves("Accuracy over the length of the banks", Axis("bank_length", "K, keys in a bank", True), LINES),
)

build = TABLE.build
