"""Cheaper attacks in pre-training: what each costs, and what it leaves of AMOC's robustness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amoc.params import Params
from amoc.pretraining.passes import passes
from amoc.reporting import study, words
from amoc.reporting.drawing.cost_plot import Way, draw
from amoc.reporting.encoders import Line
from amoc.reporting.evidence import records
from amoc.reporting.reports import Report, page
from amoc.reporting.study import DATASET, Seeds, Study
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown
from amoc.settings import AMOCPretraining, CheaperAMOCPretraining

NAME = "fast"
WINNER = "amoc_fast"  # the run of params.yaml that has the settings of the way that wins
ROBUST = ("stdev_pgd20", "adev_pgd20")
MARGIN = 1.0  # points of either robust measure that a way may lose, in the mean over the seeds
ONE_STEP = "linf_one_step"  # the attack, of the suite `single`

COST = (
    Column(
        "passes",
        "Passes",
        "through the encoder, per image and update: 1 forward; 1 back to the images, 2 back to the weights or to both",
    ),
    Column("cost", "Cost", "the same, as a percentage of AMOC's", digits=0),
)
MEANING = """\
Warm start: an image's perturbation continues from where it was an epoch before, on another view of the image, to which
it is not fitted. 50% of batch: only that share of the images is perturbed and contributes to the variant's term. Free:
each batch is used several times, and each backward pass updates the weights and, with its gradient for the images, the
perturbation, which starts from noise; keys enter the banks once per batch. ε is the radius of the ball. All rows make
the same number of weight updates.
"""
SINGLE = Column(
    "one_step",
    "AdEv one step",
    "under a single step along the gradient's sign to the corners of the ball, with the linear layer of AdEv. An "
    "encoder that withstands it far better than PGD20 has overfitted to single steps (catastrophic overfitting). The "
    "number in the first row is from its second seed alone",
    accuracy=True,
)


def call(params: Params, profile: str, run: str) -> str:
    """How a run's attack differs from AMOC's: 'AMOC, 3 steps of 0.5 epsilon'."""
    settings = params.pretraining(profile, DATASET, run)
    return f"{words.encoder(settings.plain())}, {how(settings)}"


def how(settings: AMOCPretraining) -> str:
    """Its attack, in as few words as a picture has room for."""
    if not settings.attacks:
        return "no attack"
    attack, cheaper = settings.attack, isinstance(settings, CheaperAMOCPretraining)
    if cheaper and settings.replays > 1:
        return f"free, {settings.replays} updates"
    ways = [f"{attack.steps} step{'s' * (attack.steps > 1)} of {attack.relative_step:g} ε"]
    if cheaper and settings.start == "last":
        ways.append("warm start")
    if cheaper and settings.share < 1:
        ways.append(f"{settings.share:.0%} of batch")
    return ", ".join(ways)


STUDY = Study(
    NAME,
    "Cheaper attacks in AMOC's pre-training",
    tuple(map(Line.twice, ("amoc", "amoc_pgd2", "amoc_fgsm", "amoc_warm", "amoc_half", "amoc_free", "moco"))),
    call,
)
# of amoc itself, whose attack is Table 5's, there is the other seed
SINGLED = tuple(run for run in STUDY.runs if run not in ("amoc", "moco", "moco_seed2"))


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/<run>.json of every way, and attack/<run>.json of the cheaper ones.

    Raises:
        Refusal: a result is missing in the demo, is broken, was measured unlike the others, or is
            no repeat of the run that it should repeat.
    """
    ways = STUDY.known(params)
    found = study.find(params, profile, ways, results)
    singled = [run for run in SINGLED if run in params.runs(DATASET)]
    single = {run: records.find(params, "attack", profile, DATASET, run, results) for run in singled}
    measured = study.accuracies(params, profile, ways, found)
    rows = tuple(_row(params, profile, *each, single) for each in zip(ways.lines, measured.rows, strict=True))
    seeds, *columns = measured.columns
    table = Table("Attack in pre-training", (*COST, seeds, *columns, SINGLE), rows, measured.images)
    apart = study.differences(params, profile, ways, found)
    numbers = metrics(table)
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        f"# {STUDY.title}",
        f"![cost against robust accuracy of each way, {profile} profile]({NAME}.svg)",
        to_markdown(table),
        study.READING,
        study.machines(profile, found, results),
        MEANING,
        "## Differences from AMOC, seed by seed",
        to_markdown(apart),
        "## What wins",
        wins(params, profile, found),
    )
    drawn = [_way(params, profile, row, found[row.key]) for row in rows]
    subtitle = f"{profile}: {words.images(params, profile, DATASET)}"
    title = "Robustness of encoders trained with cheaper attacks"
    return Report(NAME, profile, text, to_csv(table), numbers, partial(draw, title, subtitle, drawn))


@dataclass(frozen=True)
class Loss:
    """How much of a robust measure a way loses against AMOC, in points."""

    measure: str
    lost: float

    @property
    def within(self) -> bool:
        return self.lost <= MARGIN


def losses(found: Mapping[str, Seeds], key: str) -> list[Loss] | None:
    """Of both robust measures; None where AMOC or the way has fewer than two seeds of one, or a seed that broke."""
    result = []
    for measure in ROBUST:
        baseline, own = (study.numbers(found[name], measure) for name in ("amoc", key))
        both = sorted(baseline.keys() & own.keys())
        if len(both) < 2 or len(own) < len(found[key]):
            return None
        result.append(Loss(measure, sum(baseline[seed] - own[seed] for seed in both) / len(both)))
    return result


def wins(params: Params, profile: str, found: Mapping[str, Seeds]) -> str:
    """Sentences about the cheapest way that keeps AMOC's robustness, and about the run amoc_fast."""
    lost = {key: losses(found, key) for key in found if key not in ("amoc", "moco")}
    if not any(lost.values()):
        return "Nothing can be said: AMOC and a cheaper attack need two seeds each.\n"
    good = [key for key, each in lost.items() if each and all(loss.within for loss in each)]
    best = min(good, key=lambda key: _passes(params, profile, key), default=None)
    rule = f"loses at most {MARGIN:g} point of StdEv PGD20 and of AdEv PGD20, averaged over the seeds"
    if best is None:
        sentence = f"None of the measured attacks {rule}."
    else:
        share = 100 * _passes(params, profile, best) / _passes(params, profile, "amoc")
        points = ", ".join(f"{words.measure(each.measure)} {-each.lost:+.2f}" for each in lost[best])
        named = f"**{call(params, profile, best)}**, at {share:.0f} % of AMOC's passes"
        sentence = f"The cheapest attack that {rule}, is {named}: {points}."
    left = [key for key, each in lost.items() if each is None]
    lacking = f"Not judged, without two seeds that ended well: {', '.join(call(params, profile, key) for key in left)}."
    sentences = (sentence, noise(found), *((lacking,) if left else ()), _fast(params, profile, best))
    return words.paragraphs(*sentences)


def noise(found: Mapping[str, Seeds]) -> str:
    """What such a choice is worth."""
    errors = []
    for measure in ROBUST:
        if (deviation := study.deviation(found, measure)) is not None:
            errors.append(f"{deviation:.2f} in {words.measure(measure)}")
    return (
        f"The standard deviation between seeds, pooled over all rows, is {' and '.join(errors)}. That is also the "
        "standard error of a difference between two means over two seeds each, so such differences may be due to "
        "seeds. The choice was made on the test images shown here, so its numbers are no independent measurement of it."
    )


def _fast(params: Params, profile: str, best: str | None) -> str:
    """What the run amoc_fast is, whatever profile decided on it."""
    if WINNER not in params.runs(DATASET):
        return f"`params.yaml` has no run {WINNER} yet."
    settings = params.pretraining(profile, DATASET, WINNER)
    same = best is not None and settings == params.pretraining(profile, DATASET, best)
    agrees = "the same" if same else "not the same: it was chosen in another profile, or before these results"
    return f"The run `{WINNER}` of `params.yaml` is {call(params, profile, WINNER)}: {agrees}."


def _passes(params: Params, profile: str, run: str) -> float:
    return passes(params.pretraining(profile, DATASET, run))


def _row(params: Params, profile: str, line: Line, row: Row, single: Mapping[str, records.Record | None]) -> Row:
    own, whole = _passes(params, profile, row.key), _passes(params, profile, "amoc")
    attacked = [single.get(run) for run in line.runs]
    outcomes = [record.outcome("last", ONE_STEP) for record in attacked if record is not None]
    cells = {"passes": Cell(own), "cost": Cell(100 * own / whole), **row.cells}
    found = [outcome.exact for outcome in outcomes if outcome is not None]
    cells["one_step"] = study.mean(found, len(found))
    return Row(row.key, row.label, cells, row.key != "moco", row.notes)


def _way(params: Params, profile: str, row: Row, seeds: Seeds) -> Way:
    """As the picture shows it."""
    settings = params.pretraining(profile, DATASET, row.key)
    plain = row.key == STUDY.lines[0].key or not settings.attacks
    name = row.label if plain else how(settings)
    robust = tuple(study.numbers(seeds, "adev_pgd20").values())
    return Way("amoc" if settings.attacks else "moco", name, passes(settings), robust)
