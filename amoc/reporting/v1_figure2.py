"""Figure 2 of the preprint: adversarial training, TRADES and AMOC fine-tuned on corrupted images."""

from __future__ import annotations

from amoc.reporting.corrupted import CorruptionFigure, Line
from amoc.reporting.drawing.corruption_plot import Gap

FIGURE = CorruptionFigure(
    "v1_figure2",
    "The preprint's Figure 2: accuracy (%) on corrupted images",
    (
        Line("adv_training", "pgd_at", "pgd_at"),
        Line("trades", "trades", "trades"),
        Line("aca_frozen_finetuned", "aca_frozen_long_finetuned_v1", "amoc_finetuned"),
    ),
    heads=("last",),
    gaps=(
        Gap(("over", "PGD-AT"), "aca_frozen_finetuned", "adv_training"),
        Gap(("over", "TRADES"), "aca_frozen_finetuned", "trades"),
    ),
    caption=(
        "AMOC is the preprint's: its bank is frozen, its pre-training is long, and it is fine-tuned by PGD-AT.\n"
        "In the picture, the numbers are the points by which it is above the others.\n"
    ),
)

build = FIGURE.build
