"""How far is this from the official code, and why: what each choice that the papers leave open changes of AMOC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from amoc.params import Params
from amoc.reporting import study, words
from amoc.reporting.drawing.difference_plot import Change, Effect, draw
from amoc.reporting.encoders import Line
from amoc.reporting.evidence import records
from amoc.reporting.judgement.paper_claims import MEASURES
from amoc.reporting.judgement.statistics import blocked_deviation, least_difference
from amoc.reporting.reports import Report, page
from amoc.reporting.study import DATASET, Seeds, Study
from amoc.reporting.tables import NOT_MEASURED, Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "switches"
OFFICIAL = "amoc_official"  # the run that is as the official code in all of them
BASELINE = "amoc"
LEVEL = 0.05  # of a verdict by itself

Verdict = Literal["within", "higher", "lower"]


@dataclass(frozen=True)
class Choice:
    """A setting that the papers leave open, or that was changed here. `papers` and `official` are what those say."""

    run: str  # of params.yaml, that has it otherwise than here
    setting: str  # its place in the settings of a run
    papers: str
    official: str


CHOICES = (
    Choice(
        "aca_frozen",
        "bank_adv",
        "refilled in the journal (Algorithm 1); the preprint's ACA keeps its initial noise",
        "both, as two methods; the command for AMOC uses the refilled one",
    ),
    Choice("amoc_enqueue_before", "enqueue", "after the loss and the momentum update (Algorithm 1)", "before the loss"),
    Choice("amoc_attack_key_noisy", "attack_key", "not stated", "the second view with uniform noise"),
    Choice("amoc_attack_mode_train", "attack_mode", "not stated", "eval"),
    Choice("amoc_zero_init", "zero_init_last", "not stated", "false; timm's own default is true"),
    Choice(
        "amoc_no_blur",
        "views.blur",
        "only by reference: the journal to SimCLR, the preprint to MoCo v2",
        "with probability 0.5, as in MoCo v2",
    ),
    Choice("amoc_float32", "engine.precision", "not stated", "float32"),
)
COLUMNS = (
    Column("papers", "The papers"),
    Column("official", "The official code"),
    Column("here", "Here, by default"),
    Column("tried", "Tried"),
)


def settings(params: Params, profile: str, run: str) -> dict[str, Any]:
    """Place -> value of all that a run is made with, its engine included: enqueue, views.blur, engine.precision."""
    plain = params.pretraining(profile, DATASET, run).plain()
    plain["engine"] = params.engine(profile, DATASET, run).plain()
    flat: dict[str, Any] = {"zero_init_last": False}  # which only a run that says it has in its settings
    for key, value in plain.items():
        flat |= {f"{key}.{inner}": part for inner, part in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def changes(params: Params, profile: str, run: str) -> dict[str, Any]:
    """Place -> value of what a run has otherwise than AMOC, besides its seed."""
    own, ours = (settings(params, profile, name) for name in (run, BASELINE))
    return {key: value for key, value in own.items() if key != "seed" and value != ours[key]}


def call(params: Params, profile: str, run: str) -> str:
    """'AMOC', or how a run differs from that: 'enqueue: before'."""
    differing = ", ".join(_said(key, value) for key, value in changes(params, profile, run).items())
    if run == OFFICIAL:
        return f"as the official code ({differing})"
    return differing or words.encoder(params.pretraining(profile, DATASET, run).plain())


STUDY = Study(
    NAME,
    "Switches: how far from the official code, and why",
    tuple(map(Line.twice, (BASELINE, *(choice.run for choice in CHOICES), OFFICIAL))),
    call,
)


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/<run>.json of AMOC with each of the choices.

    Raises:
        Refusal: a result is missing in the demo, is broken, was measured unlike the others, or is
            no repeat of the run that it should repeat.
    """
    known = STUDY.known(params)
    baseline, *others = known.lines
    differing = tuple(line for line in others if changes(params, profile, line.run))
    alike = [line.run for line in others if line not in differing]
    chosen = replace(known, lines=(baseline, *differing))
    found = study.find(params, profile, chosen, results)
    measured = study.accuracies(params, profile, chosen, found)
    apart = study.differences(params, profile, chosen, found)
    judged = judge(found)
    verdicts = verdict_table(params, profile, chosen, found, judged)
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        f"# {STUDY.title}",
        f"![what each choice changes, by seed, {profile} profile]({NAME}.svg)",
        distance(judged.get(OFFICIAL)),
        "## The choices",
        to_markdown(choices(params, profile)),
        _alike(alike) if alike else None,
        "## AMOC with each of them",
        to_markdown(measured),
        study.READING,
        study.machines(profile, found, results),
        to_markdown(apart),
        "## Verdicts",
        to_markdown(verdicts),
        can_show(found, judged),
    )
    subtitle = f"{profile}: {words.images(params, profile, DATASET)}"
    effects = _effects(params, profile, chosen, found, judged)
    drawing = partial(draw, "AMOC with other choices, minus AMOC", subtitle, effects)
    return Report(NAME, profile, text, to_csv(measured), _numbers(measured, apart, judged), drawing)


# ---------------------------------------------------------------- what is compared


def choices(params: Params, profile: str) -> Table:
    """A row per choice: what the papers say, what the official code does, what is done here, and what was tried."""
    ours, rows = settings(params, profile, BASELINE), []
    for choice in CHOICES:
        there = choice.run in params.runs(DATASET)
        tried = settings(params, profile, choice.run)[choice.setting] if there else "not in params.yaml"
        cells = {
            "papers": Cell(choice.papers),
            "official": Cell(choice.official),
            "here": Cell(_plain(ours[choice.setting])),
            "tried": Cell("the same" if tried == ours[choice.setting] else _plain(tried)),
        }
        rows.append(Row(choice.run, f"`{choice.setting}`", cells, ranked=False))
    return Table("Setting", COLUMNS, tuple(rows))


def _alike(runs: list[str]) -> str:
    named = ", ".join(f"`{run}`" for run in runs)
    return words.paragraphs(f"Left out below, because in this profile AMOC itself has these settings: {named}.")


def _said(setting: str, value: Any) -> str:
    return f"{setting.removeprefix('views.').removeprefix('engine.')}: {_plain(value)}"


def _plain(value: Any) -> str:
    """As params.yaml has it; an operation that has settings of its own is on, or none."""
    match value:
        case None:
            return "none"
        case dict():
            return "on"
        case bool():
            return str(value).lower()
        case _:
            return str(value)


# ---------------------------------------------------------------- what it shows


@dataclass(frozen=True)
class Judged:
    """A measure with a choice, minus that of AMOC: the mean over the seeds, in points, and how far seeds alone go.

    Attributes:
        difference: mean minus mean.
        limit: the least difference of such means that seeds alone would exceed once in twenty times.
    """

    difference: float
    limit: float

    @property
    def verdict(self) -> Verdict:
        if abs(self.difference) <= self.limit:
            return "within"
        return "higher" if self.difference > 0 else "lower"


Judgements = Mapping[str, Mapping[str, Judged | None]]  # key of a choice -> measure; None where nothing can be said


def judge(found: Mapping[str, Seeds]) -> Judgements:
    """Key of a choice -> measure -> what is to be said; None where it cannot be: see `blocks`."""
    result: dict[str, dict[str, Judged | None]] = {key: dict.fromkeys(MEASURES) for key in found if key != BASELINE}
    for measure in MEASURES:
        rows = blocks(found, measure)
        if len(rows) > 1:
            seeds = len(rows[BASELINE])
            limit = least_difference(*blocked_deviation(list(rows.values())), seeds, LEVEL)
            for key in rows.keys() - {BASELINE}:
                result[key][measure] = Judged(fmean(rows[key]) - fmean(rows[BASELINE]), limit)
    return result


def blocks(found: Mapping[str, Seeds], measure: str) -> dict[str, list[float]]:
    """Key -> the measure on each of AMOC's seeds, of those lines that have them all, each ended well.

    Nothing if AMOC has fewer than two. Two seeds of one choice alone would tell nothing of how far seeds go; all
    choices together do, if that is taken for the same with each.
    """
    numbers = {key: study.numbers(seeds, measure) for key, seeds in found.items() if study.well(seeds)}
    wanted = numbers.get(BASELINE, {}).keys()
    if len(wanted) < 2 or len(wanted) < len(found[BASELINE]):
        return {}
    whole = [key for key, own in numbers.items() if own.keys() >= wanted and len(own) == len(found[key])]
    return {key: [numbers[key][seed] for seed in sorted(wanted)] for key in whole}


def verdict_table(
    params: Params, profile: str, chosen: Study, found: Mapping[str, Seeds], judged: Judgements
) -> Table:  # fmt: skip
    """A row per choice, a word per measure; of one that ended badly how it did."""
    columns = tuple(Column(measure, words.measure(measure)) for measure in MEASURES)
    rows = []
    for line in chosen.lines[1:]:
        badly = next((record.status for record in found[line.key].values() if record.status != "ok"), NOT_MEASURED)
        cells = {measure: Cell(one and one.verdict, missing=badly) for measure, one in judged[line.key].items()}
        rows.append(Row(line.key, call(params, profile, line.run), cells, ranked=False))
    return Table("Against AMOC", columns, tuple(rows))


def distance(official: Mapping[str, Judged | None] | None) -> str:
    """The answer to the first question, in a sentence."""
    known = {measure: one for measure, one in (official or {}).items() if one is not None}
    if not known:
        return "How far this is from the official code is not measured: AMOC and `amoc_official` need two seeds each.\n"
    told = ", ".join(f"{words.measure(name)} {one.difference:+.2f} (± {one.limit:.2f})" for name, one in known.items())
    beyond = [words.measure(measure) for measure, one in known.items() if one.verdict != "within"]
    verdict = (
        f"this is more than seeds alone would do in {' and '.join(beyond)}"
        if beyond
        else "in no measure is this more than seeds alone would do, which does not show that there is no difference"
    )
    return words.paragraphs(
        f"All choices of the official code together, minus ours, in points (± what seeds alone would do): {told}; "
        f"{verdict}."
    )


def can_show(found: Mapping[str, Seeds], judged: Judgements) -> str:
    """What verdicts from so few seeds are worth."""
    made = [one for each in judged.values() for one in each.values() if one is not None]
    if not made:
        return "No verdict: AMOC and a choice need two seeds each that ended well.\n"
    told = []
    for measure in MEASURES:
        rows = list(blocks(found, measure).values())
        if len(rows) > 1:
            left, limit = blocked_deviation(rows)[0], next(e[measure].limit for e in judged.values() if e[measure])
            between = study.deviation(found, measure)
            told.append(f"{words.measure(measure)} {between:.2f}, {left:.2f} and {limit:.2f}")
    beyond = sum(one.verdict != "within" for one in made)
    sentences = (
        "Within: seeds alone would put two such means at least this far apart in at least one of twenty cases "
        f"(Student's t, p >= {LEVEL}), so no effect is shown, which does not mean that there is none. Higher and "
        "lower: further apart than that.",
        "For each measure, in points: the standard deviation between seeds; what is left of it without the effect that "
        "a seed has on all rows alike, since seed i starts with the same weights, order and views in each; and the "
        f"smallest difference that can be shown: {'; '.join(told)}. These are estimated from all rows together, as if "
        "they were the same in each. Seeds do not vary the images.",
        f"{len(made)} verdicts were made, and {beyond} of them {'is' if beyond == 1 else 'are'} higher or lower; "
        f"{LEVEL * len(made):.1f} would be expected from seeds alone. All rows are compared with the same seeds of "
        "AMOC: if those were lucky, all differences are too low together. The report figure3 has more seeds of AMOC.",
    )
    return words.paragraphs(*sentences)


def _numbers(measured: Table, apart: Table, judged: Judgements) -> dict[str, dict[str, float | None]]:
    """Rows of accuracies, and of differences with the limit of each."""
    numbers = metrics(measured)
    for key, row in metrics(apart).items():
        limits = {f"{name}_limit": one and round(one.limit, 4) for name, one in judged.get(key, {}).items()}
        numbers[key if key == study.SPREAD else f"{key}_minus_amoc"] = row | limits
    return numbers


def _effects(
    params: Params, profile: str, chosen: Study, found: Mapping[str, Seeds], judged: Judgements
) -> list[Effect]:  # fmt: skip
    """As the picture shows them: what is drawn of a seed is its difference from the same seed of AMOC."""
    effects = []
    for line in chosen.lines[1:]:
        name = "as the official code" if line.run == OFFICIAL else call(params, profile, line.run)
        drawn = {}
        for measure in MEASURES:
            own, ours = (study.numbers(found[key], measure) for key in (line.key, BASELINE))
            one = judged[line.key][measure]
            each = tuple(own[seed] - ours[seed] for seed in sorted(own.keys() & ours.keys()))
            drawn[words.measure(measure)] = Change(each, one and one.limit, one is not None and one.verdict != "within")
        effects.append(Effect(name, drawn))
    return effects
