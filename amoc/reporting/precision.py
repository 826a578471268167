"""Does the way to compute change the result? Encoders trained in float32 and bfloat16, and the rounding of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from amoc.params import Params
from amoc.reporting import study, words
from amoc.reporting.encoders import Line
from amoc.reporting.evidence import checked, records
from amoc.reporting.evidence.checked import Checked
from amoc.reporting.reports import Report, page
from amoc.reporting.study import DATASET, Study
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "precision"
RUN = "amoc"  # whose step the numerics are of


def call(params: Params, profile: str, run: str) -> str:
    """'AMOC in bfloat16'."""
    name = words.encoder(params.pretraining(profile, DATASET, run).plain())
    return f"{name} in {params.engine(profile, DATASET, run).precision}"


STUDY = Study(
    NAME,
    "Precision and compilation",
    (Line.twice("amoc_float32"), Line.twice("amoc")),
    call,
)
STEP = (
    Column("loss", "Loss", "mean relative error on given views, against float64", digits=2, significant=True),
    Column("gradient", "Gradient", "error of that loss's gradient: |g - exact| / |exact|", digits=2, significant=True),
    Column(
        "drift",
        "Drift",
        "distance of the weights, after a few steps with attack and optimiser, from where plain float32 takes them, as "
        "a share of the way there: |w - w'| / |w' - start|. The attack takes the sign of a gradient, so even the "
        "smallest rounding shows",
        digits=2,
        significant=True,
    ),
)
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Errors(Checked):
    """Of one way to compute a step, as shares."""

    loss: Share | None
    gradient: Share | None
    drift: Share


class Numerics(Checked):
    """What `stages.numerics` wrote."""

    profile: str
    dataset: str
    run: str
    settings: dict[str, Any]
    fingerprints: dict[str, str]
    device: str
    warm_up: int
    batches: int
    steps: int
    paths: dict[str, Errors]


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/<run>.json of both precisions, and numerics/amoc.json.

    Raises:
        Refusal: a result is missing in the demo, is broken, was measured unlike the others, or is
            no repeat of the run that it should repeat.
    """
    pair, numerics = STUDY.known(params), find(profile, results)
    found = study.find(params, profile, pair, results)
    measured = study.accuracies(params, profile, pair, found)
    apart = study.differences(params, profile, pair, found)
    step = steps(numerics)
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        f"# {STUDY.title}",
        "## Encoders trained in either precision, and their linear layers with them",
        SAME if params.engine(profile).precision == "float32" else None,
        to_markdown(measured),
        study.READING,
        study.machines(profile, found, results),
        to_markdown(apart),
        "## One step, each way to compute it",
        to_markdown(step) if numerics else "Not measured yet: run `python -m stages.numerics`.\n",
        told(numerics) if numerics else None,
    )
    minus = {key if key == study.SPREAD else f"{key}_minus_float32": row for key, row in metrics(apart).items()}
    numbers = metrics(measured) | minus | metrics(step)
    return Report(NAME, profile, text, to_csv(measured), numbers)


SAME = "This profile computes in float32 anyway, so both rows are the same.\n"


def find(profile: str, results: Path = records.RESULTS) -> Numerics | None:
    """The rounding of a step; None if it was not measured in a profile other than the demo.

    Raises:
        Refusal: see `checked.find`.
    """
    named = ("numerics", profile, DATASET, RUN)
    said = {"profile": profile, "run": RUN}
    return checked.find(Numerics, records.path(*named, results), profile, records.command(*named), said)


def steps(numerics: Numerics | None) -> Table:
    """A row per way to compute; the drift of plain float32 is that from itself, and left out."""
    rows = []
    for name, errors in (numerics.paths if numerics else {}).items():
        cells = {"loss": Cell(errors.loss, missing="-"), "gradient": Cell(errors.gradient, missing="-")}
        cells["drift"] = Cell(missing="-") if name == "float32" else Cell(errors.drift)
        rows.append(Row(f"step_{name.replace(', ', '_').replace(' ', '_')}", name, cells, ranked=False))
    return Table("Way to compute", STEP, tuple(rows))


def told(numerics: Numerics) -> str:
    """How it was measured."""
    batch = numerics.settings["batch_size"]
    return (
        f"Measured on a {numerics.device.upper()} with batches of {batch}, after {numerics.warm_up} steps in plain "
        f"float32: loss and gradient on {numerics.batches} batches of given views, the drift over {numerics.steps} "
        "steps.\n"
    )
