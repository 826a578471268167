"""The verdict on each of the papers' claims, from every report that one of them reads."""

from __future__ import annotations

from pathlib import Path

from amoc.params import DATASETS, Params
from amoc.reporting import reports, words
from amoc.reporting.judgement import between_seeds, verdicts
from amoc.reporting.judgement.judging import judge
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.reports import Report, page

NAME = "claims"
REPEATS = (between_seeds.ENCODERS, between_seeds.NETWORKS)
READS = tuple(dict.fromkeys((*(q.table for claim in CLAIMS for q in claim.reads), *REPEATS)))  # names of reports

MEANS = """\
## With the means over seeds

The tables have one run of each encoder, the one with seed 1. Figure 3 repeats some encoders with other seeds. With the
means over all their seeds in place of the single runs, the parts of claims whose margins change come out as follows:
"""


def build(params: Params, profile: str, written: Path = reports.REPORTS) -> Report:
    """Judge the claims on the metrics.json of the reports that they read.

    Raises:
        Refusal: a file is missing in the demo, or broken.
    """
    numbers = {name: reports.read_metrics(name, profile, written) for name in READS}
    judged = judge(CLAIMS, numbers)
    of_means = judge(CLAIMS, between_seeds.averaged(numbers))
    otherwise = verdicts.in_comparison(judged, of_means, ("Of the means", "Of seed 1"))
    text = page(
        words.stands_in(params, profile, *DATASETS),
        f"# Claims of the papers: {verdicts.count(judged)}",
        words.sizes(params, profile),
        verdicts.beyond_seeds(judged),
        verdicts.markdown(judged, "Claim"),
        *((MEANS, otherwise) if otherwise else ()),
    )
    return Report(
        NAME, profile, text, verdicts.csv(judged), {**verdicts.metrics(judged), "claims": verdicts.counts(judged)}
    )
