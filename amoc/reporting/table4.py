"""Table 4: what ACL and AMOC take, by batch size, from the clocks of the runs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from amoc.params import Params
from amoc.reporting import words
from amoc.reporting.departures import departures
from amoc.reporting.evidence import clocks, published, records
from amoc.reporting.evidence.clocks import Clock
from amoc.reporting.judgement import verdicts
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "table4"
DATASET = "cifar10"
RUNS = ("acl_b256", "acl", "acl_long", "amoc_b64", "amoc")  # the journal's rows

TIMES = (
    Column("total_hours", "Hours", "of the whole pre-training; what an interrupted run had to repeat is not counted"),
    Column("seconds_per_epoch", "s/epoch", "training steps alone, without the checks of the features between epochs"),
    Column("images_per_second", "Images/s", "during training steps: views, attack, loss and update", digits=1),
    Column(
        "fraction_of_peak",
        "Of peak",
        "operations per second of the encoder, as a share of a matrix product's in this precision when the run began",
        digits=3,
    ),
)
MACHINE = (Column("device", "Device"), Column("precision", "Precision"), Column("versions", "Versions"))
COLUMNS = (*TIMES, *MACHINE)
COMPARED = ("total_hours", "seconds_per_epoch")  # which claims read
THEIRS = "The journal's times are for one RTX 2080 Ti. Below each row are its printed numbers, and ours minus those.\n"
DIFFERENT = (
    "**Not all rows were run with the same precision and versions, on the same machine in the same state, and with\n"
    "nothing of ours beside them: their times do not compare the methods, and no claim is judged on them.**\n"
)
AS_FAST = 1.25  # at most so much faster was a matrix product as one run began than as another did


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/pretrain/<run>.clock.json of the journal's rows, those that params.yaml has.

    Raises:
        Refusal: a clock is missing in the demo, or broken.
    """
    known = params.runs(DATASET)
    found = {run: clocks.find(profile, DATASET, run, results) if run in known else None for run in RUNS}
    table = Table("Encoder", COLUMNS, tuple(_row(params, profile, run, clock) for run, clock in found.items()))
    epochs = {run: clock.epochs if clock else None for run, clock in found.items()}
    # without the machine, which is words
    times = metrics(replace(table, columns=TIMES))
    numbers = {row: {"epochs": epochs[row]} | columns for row, columns in times.items()}
    alike = _alike([clock for clock in found.values() if clock is not None])
    if not alike:  # hours and seconds that do not compare stay out of metrics.json, which claims are judged on
        numbers = {row: columns | dict.fromkeys(COMPARED) for row, columns in numbers.items()}
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        "# Table 4: running time of pre-training",
        to_markdown(table),
        None if alike else DIFFERENT,
        THEIRS if profile == "paper" else None,
        *verdicts.alone(NAME, numbers, "table", words.sizes(params, profile)),
    )
    return Report(NAME, profile, text, to_csv(table), numbers)


def _alike(found: Sequence[Clock]) -> bool:
    """Whether the runs had the same machine, each to itself, in the same state as far as a matrix product can tell."""
    speeds = [clock.matmul_flops_per_second for clock in found if clock.matmul_flops_per_second is not None]
    as_fast = max(speeds, default=1) <= AS_FAST * min(speeds, default=1)
    return as_fast and all(map(_alone, found)) and len({_machine(clock) for clock in found}) <= 1


def _alone(clock: Clock) -> bool:
    """Whether nothing of ours ran beside it: what did takes memory and cache from it, and ends at some time."""
    return clock.stages_at_once in (None, 1)


def _machine(clock: Clock) -> tuple[str, ...]:
    return (_device(clock), clock.precision or "", clock.torch, clock.python)


def _device(clock: Clock) -> str:
    threads = f"{clock.threads} thread{'s' * (clock.threads != 1)}"
    return f"{clock.device}, {threads}" + ("" if _alone(clock) else f", {clock.stages_at_once} stages at once")


def _row(params: Params, profile: str, run: str, clock: Clock | None) -> Row:
    keys = [column.key for column in TIMES]
    times = {key: Cell(clock and getattr(clock, key), **published.beside(profile, NAME, run, key)) for key in keys}
    if run not in params.runs(DATASET):
        return Row(run, f"{run} (not in params.yaml)", times)
    settings = params.pretraining(profile, DATASET, run)
    plain = settings.plain()
    name = words.encoder(plain)
    if clock is None:
        return Row(run, words.trained(name, plain, "not measured"), times)
    machine = {
        "device": Cell(_device(clock)),
        "precision": Cell(clock.precision),
        "versions": Cell(f"torch {clock.torch}, Python {clock.python}"),
    }
    short = f"ended after {clock.epochs} of {settings.epochs} epochs" if clock.epochs < settings.epochs else ""
    notes = (short, departures(params, profile, DATASET, run, plain))
    return Row(run, words.trained(name, plain | {"epochs": clock.epochs}), times | machine, notes=notes)
