"""Table 6: Table 5 on CIFAR-100."""

from __future__ import annotations

from amoc.reporting.networks import NetworkTable
from amoc.reporting.table5 import COLUMNS, MODELS

TABLE = NetworkTable("table6", "Table 6", {name: name for name in MODELS}, COLUMNS, "table5", dataset="cifar100")
build = TABLE.build
