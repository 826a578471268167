"""The preprint's Table 4: ACL and AMOC of long pre-training under standard and robust linear evaluation."""

from __future__ import annotations

from amoc.reporting.encoders import EncoderTable, Line
from amoc.reporting.v1_table6 import MEASURES

TABLE = EncoderTable(
    "v1_table4",
    "Preprint, Table 4: ACL and AMOC, long, under the linear protocols, accuracy (%)",
    (Line("acl_long", row="acl"), Line("acc_long", row="acc"), Line("aca_frozen_long", row="aca_frozen")),
    measures=MEASURES,
)

build = TABLE.build
