"""The preprint's Table 3: adversarial training, TRADES, and AMOC of long pre-training, fine-tuned by PGD-AT."""

from __future__ import annotations

from amoc.reporting.networks import NetworkTable

TABLE = NetworkTable(
    "v1_table3",
    "Preprint, Table 3",
    {
        "adv_training": "pgd_at",
        "trades": "trades",
        "acc_finetuned": "acc_long_finetuned_v1",
        "aca_frozen_finetuned": "aca_frozen_long_finetuned_v1",
    },
    ("clean", "linf_pgd20", "linf_deepfool", "linf_autoattack", "l1_pgd50", "l2_pgd50_v1"),
    "v1",
)

build = TABLE.build
