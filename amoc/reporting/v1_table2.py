"""The preprint's Table 2: the attacks of what its reports read, and of its suite."""

from __future__ import annotations

from amoc.reporting.table2 import AttackTable

TABLE = AttackTable(
    "v1_table2",
    "Preprint, Table 2: attacks",
    "v1",
    # imported from those reports, they would bring NumPy along, which a table of settings starts without
    runs=("acl_b256", "acl_long", "acc", "acc_long", "aca_frozen", "aca_frozen_long", "moco", "cac", "caa"),
    networks=(
        *("pgd_at", "trades", "acl_b256_finetuned_v1", "acl_long_finetuned_v1", "acc_finetuned_v1"),
        *("acc_long_finetuned_v1", "aca_frozen_finetuned_v1", "aca_frozen_long_finetuned_v1"),
    ),
    probes=("stdev", "robev"),
    caption=(
        "The preprint says that an attack of 20 steps generates its perturbations, but not whether in training too.\n"
        "Training here uses the journal's attack.\n"
    ),
)

build = TABLE.build
