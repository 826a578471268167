"""Table 5 from another seed: whether what it says of AMOC fine-tuned is said twice."""

from __future__ import annotations

from amoc.reporting.networks import NetworkTable

MODELS = {
    "standard": "standard_seed2", "pgd_at": "pgd_at_seed2", "trades": "trades_seed2",
    "amoc_finetuned": "amoc_seed2_finetuned",
}  # fmt: skip
COLUMNS = ("clean", "linf_pgd20", "linf_autoattack")

TABLE = NetworkTable("table5_seed2", "Table 5 from another seed", MODELS, COLUMNS, "early_stopped", published="table5")
build = TABLE.build
