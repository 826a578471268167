"""Figure 6: AMOC over the length of its memory banks."""

from __future__ import annotations

from amoc.reporting.encoders import Line
from amoc.reporting.sweep import Axis, sweep

TABLE = sweep(
    "figure6",
    "Figure 6: AMOC over the length K of its memory banks, accuracy (%)",
    (
        Line("amoc_k1024"),
        Line("amoc_k4096"),
        Line("amoc_k16384"),
        Line.twice("amoc"),
        Line("amoc_k65536"),
    ),
    Axis("bank_length", "K", "K, keys in a bank", logarithmic=True),
    "Accuracy over the length of the banks",
    "K is scaled with the data of a profile, to no less than 1.5 batches; rows with equal K have the same settings.",
)

build = TABLE.build
