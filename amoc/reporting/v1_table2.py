"""The preprint's Table 2: the attacks of its suite."""

from __future__ import annotations

from amoc.reporting.table2 import Configured

TABLE = Configured("v1_table2", "Preprint, Table 2: attacks", "v1")

build = TABLE.build
