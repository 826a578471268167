"""Table 3: MoCo, ACL and AMOC under the linear protocols, by batch size and length of pre-training."""

from __future__ import annotations

from amoc.reporting.encoders import EncoderTable, Line

TABLE = EncoderTable(
    "table3",
    "Table 3: MoCo, ACL and AMOC under the linear protocols, accuracy (%)",
    (
        Line.twice("moco"),  # the second seeds are those that the floors of the profile need anyway
        Line("moco_long"),
        Line("acl_b64"),
        Line("acl_b128"),
        Line("acl_b256"),
        Line("acl"),
        Line("acl_long"),
        Line("amoc_b64"),
        Line("amoc_b128"),
        Line.twice("amoc"),
        Line("amoc_long"),
    ),
    caption="The report figure3 has MoCo, ACL and AMOC over more seeds and tests their differences.\n",
    clocked=True,
)

build = TABLE.build
