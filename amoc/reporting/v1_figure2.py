"""Figure 2 of the preprint: adversarial training, TRADES and AMOC fine-tuned on corrupted images."""

from __future__ import annotations

from amoc.reporting.corrupted import Comparison, Line
from amoc.reporting.corruption_plot import Gap

FIGURE = Comparison(
    "v1_figure2",
    "The preprint's Figure 2: accuracy (%) on corrupted images",
    (
        Line("adv_training", "pgd_at", "pgd_at"),
        Line("trades", "trades", "trades"),
        Line("amoc_finetuned_v1", "amoc_finetuned_v1", "amoc_finetuned"),
    ),
    heads=("last",),
    gaps=(
        Gap(("over", "PGD-AT"), "amoc_finetuned_v1", "adv_training"),
        Gap(("over", "TRADES"), "amoc_finetuned_v1", "trades"),
    ),
    caption=(
        "AMOC is fine-tuned by the preprint's recipe, from the short encoder with the moving bank; the preprint's own\n"
        "is of 1000 epochs, with the frozen one. In the picture, the numbers are points by which it is above others.\n"
    ),
)
