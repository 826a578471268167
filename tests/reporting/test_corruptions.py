"""The contact sheet's page: images as they were kept, accuracies and distances beside each other."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from amoc.refusal import Refusal
from amoc.reporting import corruptions
from amoc.reporting.drawing.figures import style
from amoc.reporting.evidence.corruption_records import NAMES

RESULTS = Path("results")


def tile(level: int) -> str:
    return base64.b64encode(bytes([level] * 12)).decode()


@pytest.fixture
def sheet() -> dict:
    """Of 2x2 pixels: the n-th corruption has the level 10 n + severity."""
    names = NAMES["regenerated"]
    return {
        "profile": "demo", "dataset": "cifar10", "source": "digits", "images": "regenerated",
        "evaluate": {"batch_size": 250, "seed": 1}, "fingerprints": {"corrupt": "0" * 32}, "number": 7,
        "label": "three", "size": 2, "clean": tile(255), "measured_images": 24,
        "tiles": {name: [tile(10 * n + severity) for severity in range(1, 6)] for n, name in enumerate(names)},
        "distances": {name: [1.0, 2.0, 3.0, 4.0, 5.0] for name in names},
    }  # fmt: skip


@pytest.fixture
def write(keep, counted, made):
    def write(sheet: dict, **last: list[int]) -> None:
        path = RESULTS / "demo" / "cifar10" / "sheet" / "corruptions.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sheet))
        keep(counted("standard", made.network("standard"), last={"clean": 99} | last))

    return write


def test_accuracies_and_distances_are_shown_by_severity(params, sheet, write):
    sheet["distances"]["fog"] = [1.0, 3.0, 2.5, 4.0, 5.0]
    write(sheet, fog=[90, 80, 85, 60, 50])
    report = corruptions.build(params, "demo")
    assert report.metrics["fog"] == {
        "severity_1": 90, "severity_2": 80, "severity_3": 85, "severity_4": 60, "severity_5": 50, "mean": 73,
        "distance_1": 1, "distance_2": 3, "distance_3": 2.5, "distance_4": 4, "distance_5": 5,
    }  # fmt: skip
    assert report.metrics["clean"]["mean"] == 99
    row = next(line for line in report.markdown.splitlines() if line.startswith("| fog "))
    assert [cell.strip() for cell in row.split("|")[2:9]] == ["90", "80", "85", "60", "50", "73.00", "1.0"]
    words = " ".join(report.markdown.split())
    assert "Single corruptions in which it rises somewhere: fog." in words
    assert "Corruptions in which the distance does not grow at every severity: fog." in words
    assert "accuracy does not fall from each severity" in words  # the other 18 stay at 50
    assert "averaged over the first 24 test images" in words and "**regenerated**" in words


def test_it_says_that_accuracy_falls_where_it_does(params, sheet, write):
    write(sheet, **{name: [80, 70, 60, 50, 40] for name in NAMES["regenerated"]})
    words = " ".join(corruptions.build(params, "demo").markdown.split())
    falling = "except procedural frost, accuracy falls from each severity to the next: 80.0, 70.0, 60.0, 50.0, 40.0."
    assert falling in words
    assert "in which it rises somewhere: none." in words and "does not grow at every severity: none." in words


def test_procedural_frost_is_in_no_mean(params, sheet, write):
    rows = {name: [80, 70, 60, 50, 40] for name in NAMES["regenerated"]} | {"frost_procedural": [0, 0, 0, 0, 80]}
    write(sheet, **rows)
    words = " ".join(corruptions.build(params, "demo").markdown.split())
    rising = "Single corruptions in which it rises somewhere: procedural frost."
    assert f"to the next: 80.0, 70.0, 60.0, 50.0, 40.0. {rising}" in words


def test_the_picture_has_the_image_under_each_corruption_in_order(params, sheet, write):
    write(sheet)
    with style():
        figure = corruptions.build(params, "demo").draw()
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 19 * 6
    for place, image in enumerate(shown):
        row, column = divmod(place, 6)
        assert np.array_equal(image, np.full((2, 2, 3), 255 if column == 0 else 10 * row + column))
    boxes = [axes.get_position() for axes in figure.axes if axes.images]
    assert boxes[0].y0 > boxes[6].y0 and boxes[0].x0 < boxes[1].x0
    assert all(0 <= box.x0 < box.x1 <= 1.001 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


@pytest.mark.parametrize(("number", "which"), [(0, "the first test image"), (7, "test image 7")])
def test_the_picture_says_which_image_it_shows_and_what_the_columns_are(params, sheet, write, number, which):
    write(sheet | {"number": number})
    with style():
        page = corruptions.build(params, "demo").draw().axes[0]
    assert f"demo: {which}, of class three; columns are severities" in [text.get_text() for text in page.texts]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 3}, "five images of 3x3 pixels"),
        ({"images": "official"}, "must be of the official corruptions"),
        ({"clean": "?"}, "an image is not base64"),
        ({"more": 1}, "more: extra"),
        ({"profile": "small"}, "says that its profile is 'small'"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_a_broken_sheet_is_refused(params, sheet, write, change, sentence):
    write(sheet | change)
    with pytest.raises(Refusal, match=rf"corruptions\.json .*{sentence}.*python -m stages\.sheet demo"):
        corruptions.build(params, "demo")


def test_a_sheet_of_other_images_than_were_counted_is_refused(params, sheet, write):
    write(sheet | {"fingerprints": {"corrupt": "1" * 32}})
    with pytest.raises(Refusal, match="make both again"):
        corruptions.build(params, "demo")


def test_what_is_missing_is_refused_in_the_demo_only(params, tmp_path):
    with pytest.raises(Refusal, match=r"sheet/corruptions\.json is missing.*python -m stages\.sheet demo cifar10"):
        corruptions.build(params, "demo", tmp_path)
    report = corruptions.build(params, "paper", tmp_path)
    assert "Nothing is measured yet" in report.markdown
    with style():
        assert not [axes for axes in report.draw().axes if axes.images]
