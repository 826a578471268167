"""What the corruptions look like, how far they move an image, and what a network without defence makes of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from amoc.params import PROFILES, Params
from amoc.refusal import Refusal
from amoc.reporting import words
from amoc.reporting.corrupted import DATASET, SOURCES, call, label
from amoc.reporting.drawing import contact_sheet
from amoc.reporting.evidence import checked, corruption_records, records
from amoc.reporting.evidence.checked import RESULTS, Checked
from amoc.reporting.evidence.corruption_records import NAMES, PROCEDURAL, SEVERITIES, CorruptionRecord, Images
from amoc.reporting.evidence.records import Count, Evaluate, ImageSource
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "corruptions"
MODEL = "standard"
HEAD = "last"
PUBLISHED = {  # why a severity may leave an image nearer than the one before
    "glass blur": "trades blur for rounds of shuffling",
    "elastic transform": "moves the whole image less",
    "spatter": "changes from water to mud",
    "saturate": "changes from grey to colourful",
    "procedural frost": "dims the image",
    "motion blur": "has the same sigma at 4 as at 3",
}
DIGITS = {  # the same of the demo's images
    "saturate": "finds no colour to change at 1 to 3",
    "pixelate": "has the same size at 1 and 2, and at 3 and 4",
}

Five = Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=SEVERITIES, max_length=SEVERITIES)]
COLUMNS = (
    *(Column(f"severity_{n}", str(n), "", digits=2) for n in range(1, SEVERITIES + 1)),
    Column("mean", "Mean", "over the severities"),
)
DISTANCES = tuple(Column(f"distance_{n}", f"d{n}", "", digits=1) for n in range(1, SEVERITIES + 1))


class Sheet(Checked):
    """What stages.sheet wrote: one test image under everything, and mean distances of the first ones."""

    profile: Literal[PROFILES]
    dataset: str
    source: ImageSource
    images: Images
    evaluate: Evaluate
    fingerprints: dict[str, str]
    number: Annotated[int, Field(ge=0)]
    label: str
    size: Count
    clean: str
    tiles: dict[str, list[str]]
    measured_images: Count
    distances: dict[str, Five]  # mean absolute difference from the clean image, 0 ... 255

    @model_validator(mode="after")
    def _check(self) -> Sheet:
        if not set(self.tiles) == set(self.distances) == set(NAMES[self.images]):
            raise ValueError(f"tiles and distances must be of the {self.images} corruptions")
        for name, tiles in {"clean": [self.clean] * SEVERITIES, **self.tiles}.items():
            if len(tiles) != SEVERITIES or any(len(unpacked(tile)) != 3 * self.size**2 for tile in tiles):
                raise ValueError(f"{name} must have five images of {self.size}x{self.size} pixels")
        return self

    def tile(self, packed: str) -> np.ndarray:
        """uint8 (size, size, 3)."""
        return np.frombuffer(unpacked(packed), np.uint8).reshape(self.size, self.size, 3)


def unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an image is not base64: {error}") from None


def find_sheet(params: Params, profile: str, results: Path = RESULTS) -> Sheet | None:
    """None where it was not made, in a profile other than the demo. Raises Refusal: see `records.find`."""
    file = records.path("sheet", profile, DATASET, NAME, results)
    command = f"python -m stages.sheet {profile} {DATASET}"
    said = {"profile": profile, "dataset": DATASET, "source": params.data(profile).source}
    return checked.find(Sheet, file, profile, command, said)


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read the sheet, and what the network Standard gets right.

    Raises:
        Refusal: one of them is missing in the demo, or broken, or they are of other images.
    """
    sheet = find_sheet(params, profile, results)
    known = MODEL in params.networks(DATASET)
    record = corruption_records.find(params, profile, DATASET, MODEL, results) if known else None
    if sheet and record:
        shown, counted = ((each.images, each.fingerprints.get("corrupt")) for each in (sheet, record))
        if shown != counted:
            raise Refusal(
                f"the sheet has {shown[0]} images and {MODEL} was measured on other ones: make both again with "
                f"`python -m stages.sheet {profile} {DATASET}` and `python -m stages.corrupt {profile} {DATASET} "
                f"{MODEL}`"
            )
    images = sheet.images if sheet else record.images if record else None
    table = tabulate(images, sheet, record)
    which = "" if sheet is None else "the first test image" if sheet.number == 0 else f"test image {sheet.number}"
    shown = f": {which}, of class {sheet.label}; columns are severities" if sheet else ""
    measured = f", averaged over the first {sheet.measured_images} test images" if sheet else ""
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        "# Corruptions",
        SOURCES[images],
        f"![Every corruption at five severities, {profile} profile]({NAME}.svg)",
        to_markdown(table),
        f"1 to 5: accuracy (%) of {label(params, profile, MODEL, record)} at each severity. d1 to d5: how far a\n"
        f"pixel value (0 to 255) is from the clean image's{measured}.\n",
        falling(record, sheet),
    )
    title, subtitle = f"Corruptions, {images or 'not made'}", f"{profile}{shown}"
    clean = sheet.tile(sheet.clean) if sheet else None
    picture = partial(contact_sheet.draw, title, subtitle, _rows(sheet), clean)
    return Report(NAME, profile, text, to_csv(table), metrics(table), picture)


def tabulate(images: Images | None, sheet: Sheet | None, record: CorruptionRecord | None) -> Table:
    """A row per corruption: accuracies, then distances."""
    rows, asked = [], record.test_images if record else None
    if record is not None:
        clean = {"mean": Cell(record.accuracy(HEAD, "clean"), asked)}
        rows.append(Row("clean", "clean", clean))
    for name in NAMES[images or "regenerated"]:
        percents = record.severities(HEAD, name) if record else None
        distances = sheet.distances[name] if sheet else None
        cells = {c.key: Cell(v, asked) for c, v in zip(COLUMNS[:-1], percents or [None] * SEVERITIES, strict=True)}
        cells["mean"] = Cell(record.accuracy(HEAD, name) if record else None)
        cells |= {c.key: Cell(v) for c, v in zip(DISTANCES, distances or [None] * SEVERITIES, strict=True)}
        rows.append(Row(name, call(name), cells))
    return Table("Corruption", (*COLUMNS, *DISTANCES), tuple(rows), asked)


def falling(record: CorruptionRecord | None, sheet: Sheet | None) -> str:
    """Whether each severity is worse than the one before, and where it is not."""
    sentences = []
    if record is not None and record.right:
        accuracies = {name: record.severities(HEAD, name) for name in NAMES[record.images]}
        uneven = [call(name) for name, five in accuracies.items() if any(b > a for a, b in pairwise(five))]
        meant = [five for name, five in accuracies.items() if name != PROCEDURAL]
        mean = [sum(each) / len(each) for each in zip(*meant, strict=True)]
        falls = all(a > b for a, b in pairwise(mean))
        which = f"all corruptions except {call(PROCEDURAL)}" if PROCEDURAL in accuracies else "all corruptions"
        sentences.append(
            f"Averaged over {which}, accuracy {'falls' if falls else 'does not fall'} from each severity to the "
            f"next: {', '.join(f'{value:.1f}' for value in mean)}. Single corruptions in which it rises somewhere: "
            f"{_listed(uneven)}."
        )
    if sheet is not None:
        still = [call(name) for name, five in sheet.distances.items() if any(b <= a for a, b in pairwise(five))]
        own = DIGITS if sheet.source == "digits" else {}
        published = {name: reason for name, reason in PUBLISHED.items() if name not in own}
        sentences.append(
            f"Corruptions in which the distance does not grow at every severity: {_listed(still)}."
            + _because("The published constants explain this", published, still)
            + _because("These images are grey, of 8x8 pixels", own, still)
        )
    return words.paragraphs(*sentences) if sentences else "Nothing is measured yet.\n"


def _because(why: str, reasons: Mapping[str, str], names: Sequence[str]) -> str:
    """' Why: reason, reason.' of those that have one."""
    told = [f"{name} {reasons[name]}" for name in names if name in reasons]
    return f" {why}: {'; '.join(told)}." if told else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _rows(sheet: Sheet | None) -> tuple[tuple[str, tuple[np.ndarray, ...]], ...]:
    """What a row is called, and its images."""
    if sheet is None:
        return ()
    return tuple((call(name), tuple(map(sheet.tile, sheet.tiles[name]))) for name in NAMES[sheet.images])
