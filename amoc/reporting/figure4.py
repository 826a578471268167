"""Figure 4 (journal): ACL and AMOC on corrupted images, short and long."""

from __future__ import annotations

from amoc.reporting.corrupted import CorruptionFigure, Line
from amoc.reporting.drawing.corruption_plot import Gap

FIGURE = CorruptionFigure(
    "figure4",
    "Figure 4: accuracy (%) on corrupted images",
    (
        Line("acl", "acl", "acl", hollow=True),
        Line("acl_long", "acl_long", "acl"),
        Line("amoc", "amoc", "amoc", hollow=True),
        Line("amoc_long", "amoc_long", "amoc"),
    ),
    heads=("stdev", "adev"),
    gaps=(Gap(("short:", "over ACL"), "amoc", "acl"), Gap(("long:", "over ACL"), "amoc_long", "acl_long")),
    caption=(
        "The encoders have the linear layer of StdEv; the CSV also has them with that of AdEv. In the picture, hollow\n"
        "marks stand for short pre-training, and the numbers are the points by which AMOC is above ACL.\n"
    ),
)

build = FIGURE.build
