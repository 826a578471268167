"""Figure 3: are the differences between MoCo, ACL and AMOC larger than those between seeds? Paired tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from amoc.params import Params
from amoc.reporting import encoders, study, words
from amoc.reporting.drawing.p_values import LEVEL, Group, Mark, draw
from amoc.reporting.encoders import EncoderTable, Line
from amoc.reporting.evidence import records
from amoc.reporting.evidence.records import Record
from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.paper_claims import MEASURES, SEED_PAIRS
from amoc.reporting.judgement.statistics import PairedComparison, compare, holm, least_effect_size, least_wilcoxon_p
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "figure3"
DATASET = "cifar10"
METHODS = ("moco", "acl", "amoc")  # runs, and how their methods look in figures

COLUMNS = (
    Column("n", "n", "number of seeds that both methods have", digits=0),
    Column("difference", "Difference", "first method minus second, averaged over the seeds, in points of accuracy"),
    Column("half_width", "± 95 %", "half the width of the difference's 95 % interval by the t-test, in points"),
    # a digit more than usual: else numbers beside a bound hide on which side of it they are
    Column("d", "d", "Cohen's d for paired values: mean of the differences over their standard deviation", digits=3),
    Column("t", "t", "statistic of the paired t-test"),
    Column("p", "p", "two-sided, of the paired t-test, the journal's test", digits=3, significant=True),
    Column("holm", "p, Holm", "this p, corrected for the number of tests in this table", digits=3, significant=True),
    Column("wilcoxon", "p, Wilcoxon", "two-sided, of the signed-rank test, not corrected", digits=3, significant=True),
)


@dataclass(frozen=True)
class Tested:
    """One measure of two methods; `compared` is None where fewer than two seeds have both."""

    pair: str  # row of metrics.json: amoc_acl
    measure: str
    seeds: tuple[int, ...]
    compared: PairedComparison | None
    holm: float | None = None


def repeats(params: Params) -> EncoderTable:
    """MoCo, ACL and AMOC with all runs of other seeds that params.yaml has: <method>_seed2, ..."""
    runs = params.runs(DATASET)
    lines = [Line(method, tuple(run for run in runs if re.fullmatch(rf"{method}_seed\d+", run))) for method in METHODS]
    return EncoderTable(NAME, "Accuracy (%) over seeds", tuple(lines))


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/<run>.json of the three methods in all their seeds.

    Raises:
        Refusal: a result is missing in the demo, is broken, was measured unlike the others, or
            differs from its method's first run in more than the seed.
    """
    listing = repeats(params)
    found = encoders.find(params, profile, DATASET, listing.runs, results)
    by_seed = {line.key: encoders.seeds(found, line) for line in listing.lines}
    tests = corrected([tested(pair, measure, by_seed) for pair in SEED_PAIRS for measure in MEASURES])
    names = {line.key: _name(params, profile, line, by_seed[line.key]) for line in listing.lines}
    table = Table("Pair and measure", COLUMNS, tuple(_row(each, names) for each in tests))
    accuracies = encoders.tabulate(params, profile, listing, found)
    numbers = _metrics(tests, metrics(table)) | metrics(accuracies)
    for method, seeds in by_seed.items():
        if len(seeds) > 1:
            numbers[f"{method}{encoders.MEAN}"]["seeds"] = len(seeds)
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        "# Figure 3: paired tests over seeds",
        f"![p-values of paired tests between MoCo, ACL and AMOC, {profile} profile]({NAME}.svg)",
        to_markdown(table),
        can_show(tests),
        study.machines(profile, by_seed, results),
        f"## {listing.title}",
        to_markdown(accuracies),
        SEEDS,
        *verdicts.alone(NAME, numbers, "figure"),
    )
    subtitle = f"{profile}: {words.images(params, profile, DATASET)}"
    title = f"Paired tests over {_counted(tests)} seeds: p-values"
    return Report(NAME, profile, text, to_csv(table), numbers, partial(draw, title, subtitle, _groups(tests, names)))


SEEDS = """\
Each row is one run, and below it is the mean over all seeds ± their standard deviation. With seed i, every method has
the same order of images and the same seed for its linear layer; the test images are the same throughout.
"""


def tested(pair: str, measure: str, by_seed: Mapping[str, Mapping[int, Record]]) -> Tested:
    """Of the seeds in which both methods have the measure; the pair 'amoc_acl' is AMOC minus ACL."""
    ones, others = (
        {seed: encoders.number(record, measure) for seed, record in by_seed[method].items()}
        for method in pair.split("_")
    )
    both = sorted(seed for seed in ones.keys() & others.keys() if None not in (ones[seed], others[seed]))
    if len(both) < 2:
        return Tested(pair, measure, tuple(both), None)
    return Tested(pair, measure, tuple(both), compare([ones[seed] for seed in both], [others[seed] for seed in both]))


def corrected(tests: Sequence[Tested]) -> list[Tested]:
    """With Holm's correction over those that could be made."""
    adjusted = iter(holm([each.compared.t_p for each in tests if each.compared is not None]))
    return [each if each.compared is None else replace(each, holm=next(adjusted)) for each in tests]


def can_show(tests: Sequence[Tested]) -> str:
    """What so many pairs can show at all, and what they cannot."""
    made = [each for each in tests if each.compared is not None]
    if not made:
        return "No test could be made: a pair needs at least two seeds of both methods.\n"
    sentences = []
    for n in sorted({len(each.seeds) for each in made}):
        strict = LEVEL / len(made)
        sentences.append(
            f"With {n} pairs a t-test gives p < {LEVEL} only if |d| exceeds {least_effect_size(n, LEVEL):.3f}, and the "
            f"smallest of {len(made)} p-values meets Holm's p < {strict:.3g} only if |d| exceeds "
            f"{least_effect_size(n, strict):.3f}: smaller effects may be real but cannot be shown. The t-test assumes "
            "normally distributed differences, which so few pairs cannot confirm; the signed-rank test does not, but "
            f"with {n} pairs its p cannot be below 2/2^{n} = {least_wilcoxon_p(n):.4g}"
            + (f", so it can never reach {LEVEL}." if least_wilcoxon_p(n) >= LEVEL else ".")
        )
    sentences.append(
        "Seeds vary the weights, views, attacks and order of images, in pre-training and in training the linear layer, "
        "but not the images themselves: a small p says something about other seeds, not about other data."
    )
    return words.paragraphs(*sentences)


def _name(params: Params, profile: str, line: Line, by_seed: Mapping[int, Record]) -> str:
    """'AMOC'; the settings of those that were measured, else of those to come, else the method's key."""
    for record in by_seed.values():
        return words.encoder(record.settings.model_dump())
    if line.run in params.runs(DATASET):
        return words.encoder(params.pretraining(profile, DATASET, line.run).plain())
    return line.key.upper()


def _pair(pair: str, names: Mapping[str, str]) -> str:
    return " - ".join(names[method] for method in pair.split("_"))


def _row(one: Tested, names: Mapping[str, str]) -> Row:
    compared = one.compared
    cells = {"n": Cell(len(one.seeds))}
    if compared is not None:
        cells |= {
            "difference": Cell(compared.difference, shown=f"{compared.difference:+.2f}"),
            "half_width": Cell(compared.half_width),
            "d": Cell(compared.effect_size),
            "t": Cell(compared.t),
            "p": Cell(compared.t_p),
            "holm": Cell(one.holm),
            "wilcoxon": Cell(compared.wilcoxon_p),
        }
    label = f"{_pair(one.pair, names)}, {words.measure(one.measure)}"
    return Row(f"{one.pair}_{one.measure}", label, {column.key: cells.get(column.key, Cell()) for column in COLUMNS})


def _metrics(
    tests: Sequence[Tested], rows: Mapping[str, Mapping[str, float | None]]
) -> dict[str, dict[str, float | None]]:
    """Pair -> p_<measure>, holm_<measure>, ...: a row per pair, as the claims read it."""
    numbers: dict[str, dict[str, float | None]] = {pair: {} for pair in SEED_PAIRS}
    for one in tests:
        row = rows[f"{one.pair}_{one.measure}"]
        numbers[one.pair] |= {f"{column.key}_{one.measure}": row[column.key] for column in COLUMNS}
    return numbers


def _counted(tests: Sequence[Tested]) -> str:
    """'5', or '3 to 5', or 'no'."""
    counts = sorted({len(one.seeds) for one in tests if one.compared is not None})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))) if counts else "no"


def _groups(tests: Sequence[Tested], names: Mapping[str, str]) -> tuple[Group, ...]:
    """A group per measure, in it a mark per pair."""
    marks: dict[str, list[Mark]] = {measure: [] for measure in MEASURES}
    for one in tests:
        methods = tuple(one.pair.split("_"))
        marks[one.measure].append(Mark(methods, tuple(names[method] for method in methods), one.compared, one.holm))
    return tuple(Group(words.measure(measure), tuple(own)) for measure, own in marks.items())
