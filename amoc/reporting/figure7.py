"""Figure 7: AMOC over the weight lambda of its clean term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amoc.reporting import words
from amoc.reporting.encoders import Line, Listing
from amoc.reporting.sweep import BAR, Axis, Curves

LINES = tuple(
    Line("amoc", "amoc", ("amoc_seed2",)) if tenths == 5 else Line(run := f"amoc_lambda0{tenths}", run)
    for tenths in range(1, 10)
)


def weight(settings: Mapping[str, Any]) -> str:
    """'AMOC, lambda = 0.1': the weight that was used."""
    return f"{words.encoder(settings)}, lambda = {settings['lambda']:g}"


TABLE = Listing(
    "figure7",
    "Figure 7: AMOC over the weight lambda of its clean term, accuracy (%)",
    LINES,
    caption=f"The loss is lambda times the clean term plus 1 - lambda times the variant's (journal, eq. 3.3). {BAR}\n",
    call=weight,
    draw=Curves("Accuracy over the weight of the clean term", Axis("lambda", r"$\lambda$"), LINES),
)

build = TABLE.build
