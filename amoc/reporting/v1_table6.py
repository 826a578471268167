"""The preprint's Table 6: variants of AMOC under standard and robust linear evaluation."""

from __future__ import annotations

from amoc.reporting.encoders import EncoderTable, Line
from amoc.reporting.table8 import letters

MEASURES = ("stdev_clean", "stdev_pgd20", "robev_clean", "robev_pgd20")

TABLE = EncoderTable(
    "v1_table6",
    "Preprint, Table 6: variants of AMOC under the linear protocols, accuracy (%)",
    (
        Line("moco", row="ccc"),
        Line("cac"),
        Line("caa"),
        Line("acc"),
        Line("aca_frozen"),
    ),
    caption="The preprint's ACA is the one with the frozen bank. The report table7 explains the letters.\n",
    call=letters,
    measures=MEASURES,
)

build = TABLE.build
