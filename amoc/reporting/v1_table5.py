"""The preprint's Table 5: ACL and AMOC of short and of long pre-training, fine-tuned by PGD-AT."""

from __future__ import annotations

from amoc.reporting.networks import NetworkTable

TABLE = NetworkTable(
    "v1_table5",
    "Preprint, Table 5",
    {
        "acl_finetuned": "acl_b256_finetuned_v1",
        "acl_finetuned_long": "acl_long_finetuned_v1",
        "acc_finetuned": "acc_finetuned_v1",
        "acc_finetuned_long": "acc_long_finetuned_v1",
        "aca_frozen_finetuned": "aca_frozen_finetuned_v1",
        "aca_frozen_finetuned_long": "aca_frozen_long_finetuned_v1",
    },
    ("clean", "linf_pgd20", "linf_deepfool", "linf_autoattack", "l1_pgd50", "l2_pgd50_v1"),  # printed: the first two
    "v1",
)

build = TABLE.build
