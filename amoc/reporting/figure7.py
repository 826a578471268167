"""Figure 7: AMOC over the weight lambda of its clean term."""

from __future__ import annotations

from amoc.reporting.encoders import Line
from amoc.reporting.sweep import Axis, sweep

TABLE = sweep(
    "figure7",
    "Figure 7: AMOC over the weight lambda of its clean term, accuracy (%)",
    tuple(Line.twice("amoc") if t == 5 else Line(f"amoc_lambda0{t}") for t in range(1, 10)),
    Axis("lambda", "lambda", r"$\lambda$"),
    "Accuracy over the weight of the clean term",
    "The loss is lambda times the clean term plus (1 - lambda) times the variant's term (journal, eq. 3.3).",
)

build = TABLE.build
