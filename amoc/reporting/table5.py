"""Table 5: networks from scratch, AMOC's linear probe and AMOC fine-tuned, on CIFAR-10."""

from __future__ import annotations

from amoc.reporting.networks import NetworkTable

MODELS = ("standard", "pgd_at", "alp", "trades", "amoc", "amoc_finetuned")
COLUMNS = (
    *("clean", "linf_pgd20", "linf_pgd20_peers", "linf_deepfool", "linf_autoattack"),
    *("l1_pgd50", "l1_slide", "l2_pgd50", "l2_cw", "l2_autoattack"),
)

TABLE = NetworkTable("table5", "Table 5", {name: name for name in MODELS}, COLUMNS, "table5")
build = TABLE.build
