"""The verdict on each of the papers' claims, from every report that one of them reads."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from amoc.params import DATASETS, Params
from amoc.reporting import reports, words
from amoc.reporting.judgement import between_seeds, verdicts
from amoc.reporting.judgement.judging import judge
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.reports import Report, page

NAME = "claims"
BATCHES = (64, 128, 256, 512)  # of the papers
REPEATS = (between_seeds.ENCODERS, between_seeds.NETWORKS)
READS = tuple(dict.fromkeys((*(q.table for claim in CLAIMS for q in claim.reads), *REPEATS)))  # names of reports


def build(params: Params, profile: str, written: Path = reports.REPORTS) -> Report:
    """Judge the claims on the metrics.json of the reports that they read.

    Raises:
        Refusal: a file is missing in the demo, or broken.
    """
    judged = judge(CLAIMS, {name: reports.read_metrics(name, profile, written) for name in READS})
    text = page(
        words.stands_in(params, profile, *DATASETS),
        f"# Claims of the papers: {verdicts.count(judged)}",
        *sizes(params, profile),
        verdicts.beyond_seeds(judged),
        verdicts.markdown(judged, "Claim"),
    )
    return Report(
        NAME, profile, text, verdicts.csv(judged), {**verdicts.metrics(judged), "claims": verdicts.counts(judged)}
    )


def sizes(params: Params, profile: str) -> tuple[str, ...]:
    """What the papers' batch sizes and epochs, which claims are stated in, are in a profile where they are others."""
    scale, papers = params.scale(profile), params.scale("paper")
    if scale == papers:
        return ()
    batches = ", ".join(f"{size} are {round(size * scale.batch_size)}" for size in BATCHES)
    told = (
        f"Batches and epochs are called as in the papers: of batches {batches} here, of epochs {papers.short} are "
        f"{scale.short} and {papers.long} are {scale.long}."
    )
    return (fill(told, 120) + "\n",)
