"""The claims that Table 5 can judge, and the floors of the profile, which can so be checked within minutes."""

from __future__ import annotations

from amoc.reporting.claims_report import Judgement

PAGE = Judgement("claims", ("table5",))

build = PAGE.build
