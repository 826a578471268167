"""Figure 2: t-SNE of the features of ACL and AMOC, and how separable the classes are in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from amoc.params import Params
from amoc.reporting import words
from amoc.reporting.departures import departures_of
from amoc.reporting.drawing.embedding_plot import Panel, draw
from amoc.reporting.evidence import checked, records
from amoc.reporting.evidence.checked import Checked
from amoc.reporting.evidence.records import Count, Encoder
from amoc.reporting.judgement import verdicts
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "figure2"
DATASET = "cifar10"
RUNS = ("acl", "acl_long", "amoc", "amoc_long")  # a panel each, in the journal's order

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Embedding(Checked):
    """How the features were put into a plane and measured."""

    perplexity: Finite
    images: Count
    seed: int
    neighbours: Count


class Embedded(Checked):
    """What `stages.embed` wrote. labels, x and y: a number for each image in the plane."""

    profile: str
    dataset: str
    run: str
    source: str
    settings: Encoder
    fingerprints: dict[str, str]
    embedding: Embedding
    train_images: Count
    test_images: Count
    classes: list[str]
    status: Literal["ok", "collapsed", "nan"]
    knn: Annotated[float, Field(ge=0, le=100)] | None
    silhouette: Annotated[float, Field(ge=-1, le=1)] | None
    labels: list[Annotated[int, Field(ge=0)]]
    x: list[Finite]
    y: list[Finite]

    @model_validator(mode="after")
    def _check(self) -> Embedded:
        if not len(self.labels) == len(self.x) == len(self.y):
            raise ValueError(f"there are {len(self.labels)} labels, {len(self.x)} x and {len(self.y)} y")
        if len(self.labels) > self.test_images:
            raise ValueError(f"{len(self.labels)} images are drawn, but there are {self.test_images} test images")
        if max(self.labels, default=0) >= len(self.classes):
            raise ValueError(f"labels has {max(self.labels)}, but there are {len(self.classes)} classes")
        return self

    @property
    def name(self) -> str:
        return self.run

    @property
    def command(self) -> str:
        return records.command("embed", self.profile, self.dataset, self.run)

    @property
    def how(self) -> list[tuple[str, object]]:
        made = (self.embedding, self.source, self.train_images, self.test_images, self.classes)
        return [("settings or images", made)]


Found = Mapping[str, Embedded | None]  # run -> its features; None if they were not measured


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/embed/<run>.json of ACL and AMOC, short and long.

    Raises:
        Refusal: a result is missing in the demo, is broken, or was made otherwise than another.
    """
    found = {run: find(params, profile, run, results) for run in RUNS if run in params.runs(DATASET)}
    counted = [one for one in found.values() if one is not None]
    records.compare_alike(counted)
    rows = tuple(_row(params, profile, run, one) for run, one in found.items())
    table = Table("Encoder", columns(counted), rows, max((one.test_images for one in counted), default=None))
    numbers = metrics(table)
    text = page(
        words.stands_in(params, profile, DATASET, networks=()),
        "# Figure 2: t-SNE of features",
        f"![features of ACL and AMOC in a plane, {profile} profile]({NAME}.svg)",
        to_markdown(table),
        told(counted[0]) if counted else "Nothing is measured yet: run `python -m stages.embed`.\n",
        *verdicts.alone(NAME, numbers, "figure"),
    )
    subtitle = f"{profile}: {words.images(params, profile, DATASET)}"
    panels = [_panel(_name(params, profile, run, one), one) for run, one in found.items()]
    drawing = partial(draw, "t-SNE of features of test images", subtitle, panels)
    return Report(NAME, profile, text, to_csv(table), numbers, drawing)


def find(params: Params, profile: str, run: str, results: Path = records.RESULTS) -> Embedded | None:
    """The features of an encoder; None if they were not measured in a profile other than the demo.

    Raises:
        Refusal: see `records.find`.
    """
    named = ("embed", profile, DATASET, run)
    said = {"profile": profile, "dataset": DATASET, "run": run, "source": params.data(profile).source}
    return checked.find(Embedded, records.path(*named, results), profile, records.command(*named), said)


def columns(counted: list[Embedded]) -> tuple[Column, ...]:
    """Their legends tell the settings used."""
    knn = silhouette = ""
    if counted:
        knn = (
            f"percentage of test images whose class has the most votes among the {counted[0].embedding.neighbours} "
            "nearest training images"
        )
        silhouette = "from -1 to 1: how much nearer test images are to their own class than to the nearest other one"
    return (
        Column("knn", "kNN", knn, ranked=True, accuracy=True),
        Column("silhouette", "Silhouette", silhouette, digits=4, ranked=True),
    )


def told(one: Embedded) -> str:
    """How it was done, and what it can say."""
    shown = len(one.labels) or min(one.embedding.images, one.test_images)
    some = f"{shown} of the {one.test_images}, drawn with seed {one.embedding.seed}, the same in each panel"
    drawn = "all" if shown == one.test_images else some
    sentences = (
        f"The features are those of clean images, taken before the projector in eval mode through the norms that an "
        f"encoder is evaluated with, and each is divided by its length. Both numbers are computed in feature space on "
        f"all {one.test_images} test images, with neighbours among {one.train_images} training images. The plane shows "
        f"the test images ({drawn}), placed by t-SNE with perplexity {one.embedding.perplexity:g}, started from the "
        f"principal components, seed {one.embedding.seed}.",
        "A class's name stands beside a large dot: the image around which the smallest circle holds a quarter of its "
        "class. Names that would overlap are moved apart, together with their dots.",
        "In such a plane, images that lie close together have similar features. The distances between groups, their "
        "sizes and their positions mean nothing, and another seed or perplexity gives another plane. The claim is "
        "judged by the numbers alone, each from one encoder.",
    )
    return words.paragraphs(*sentences)


def _name(params: Params, profile: str, run: str, one: Embedded | None, *more: str) -> str:
    """'AMOC (200 ep, b256)': the settings that were used, or that are to be."""
    plain = one.settings.model_dump() if one else params.pretraining(profile, DATASET, run).plain()
    return words.trained(words.encoder(plain), plain, *more)


def _row(params: Params, profile: str, run: str, one: Embedded | None) -> Row:
    if one is None:
        return Row(run, _name(params, profile, run, one, "not measured"), {"knn": Cell(), "silhouette": Cell()})
    name, bad = _name(params, profile, run, one), one.status != "ok"
    cells = {"knn": Cell(one.knn, one.test_images), "silhouette": Cell(one.silhouette)}
    return Row(run, name + (f", {one.status}" if bad else ""), cells, not bad, (departures_of(params, one),))


def _panel(name: str, one: Embedded | None) -> Panel:
    if one is None:
        return Panel(name, "", (), (), (), ())
    numbers = f"kNN {one.knn:.1f} %, silhouette {one.silhouette:.3f}" if one.knn is not None else ""
    note = numbers.replace("-", "\N{MINUS SIGN}")
    return Panel(name, note, tuple(one.classes), tuple(one.labels), tuple(one.x), tuple(one.y), one.status)
