"""All claims, from every report that one of them reads, and so from all their encoders."""

from __future__ import annotations

from amoc.reporting.claims_report import Judgement
from amoc.reporting.paper_claims import CLAIMS

PAGE = Judgement("all_claims", tuple(dict.fromkeys(quantity.table for claim in CLAIMS for quantity in claim.reads)))

build = PAGE.build
