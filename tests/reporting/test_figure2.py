"""Figure 2 from hand-made planes: numbers, what is compared, what is refused, where names go."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import figure2
from amoc.reporting.drawing.embedding_plot import _HEIGHT, COLOURS, KEY, apart, densest
from tests import shipped
from tests.reporting.drawing.test_figures import TO_XYZ, VISION, lab, linear

NUMBERS = {"acl": (60.0, 0.10), "acl_long": (70.0, 0.15), "amoc": (65.0, 0.12), "amoc_long": (66.0, -0.05)}


@pytest.fixture
def params() -> Params:
    return shipped.params()


@pytest.fixture
def everything(made, tmp_path):
    """Twelve images of three classes for each encoder."""

    def write(profile: str = "small", **changes: dict):
        folder = tmp_path / "results" / profile / "cifar10" / "embed"
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(3)
        for run, (knn, silhouette) in NUMBERS.items():
            method, epochs = run.partition("_")[0], 40 if "long" in run else 20
            own = {"lambda": 0.5} if method == "amoc" else {}
            source = "digits" if profile == "demo" else "cifar"
            settings = {"method": method, "epochs": epochs, "batch_size": 64, "seed": 1} | own
            plain = {
                "profile": profile, "dataset": "cifar10", "run": run, "settings": settings, "source": source,
                "fingerprints": {"classify": "0" * 32}, "train_images": 90, "test_images": 20, "status": "ok",
                "embedding": {"perplexity": 5.0, "images": 12, "seed": 1, "neighbours": 7},
                "classes": ["cat", "automobile", "ship"], "knn": knn, "silhouette": silhouette,
                "labels": 4 * [0, 1, 2], "x": random.normal(size=12).tolist(), "y": random.normal(size=12).tolist(),
            }  # fmt: skip
            (folder / f"{run}.json").write_text(json.dumps(plain | changes.get(run, {})))
        return tmp_path / "results"

    return write


def told(report) -> str:
    """The page as one line."""
    return " ".join(report.markdown.split())


def test_rows_are_encoders_and_the_claim_is_judged_on_them(params, everything):
    report = figure2.build(params, "small", everything())
    expected = {run: {"knn": knn, "silhouette": silhouette} for run, (knn, silhouette) in NUMBERS.items()}
    assert report.metrics == expected
    text = told(report)
    assert "| ACL (20 ep, b64) | 60 | 0.1000 |" in text and "| AMOC (40 ep, b64) | _66_ | -0.0500 |" in text
    assert "| - kNN accuracy, short | holds | +5.00 |" in text
    assert "| - silhouette, long | does not hold | -0.200 | silhouette |" in text
    assert "the 7 nearest training images" in text
    assert "are computed in feature space on all 20 test images, with neighbours among 90 training images" in text
    assert "(12 of the 20, drawn with seed 1, the same in each panel)" in text and "perplexity 5," in text


def test_a_panel_per_encoder_a_dot_per_image(params, everything):
    page, *panels = figure2.build(params, "small", everything()).draw().axes
    assert [text.get_text() for text in panels[0].texts] == ["cat", "automobile", "ship"]
    for panel in panels:
        assert panel.get_aspect() == "auto" and panel.get_xlim() == panel.get_ylim()
        box = panel.get_position()
        width, height = page.figure.get_size_inches()
        assert box.width * width == pytest.approx(box.height * height)  # one scale for x and y
        dots = [line for line in panel.lines if len(line.get_xdata()) == 4]
        assert [line.get_color() for line in dots] == list(COLOURS[:3])
        everywhere = np.concatenate([line.get_xydata() for line in dots])
        assert everywhere.min() > 0 and everywhere.max() < panel.get_xlim()[1]
    words = [text.get_text() for text in page.texts]
    assert KEY in words
    assert "ACL (20 ep, b64)" in words and "kNN 66.0 %, silhouette \N{MINUS SIGN}0.050" in words


def test_shapes_are_not_stretched(params, everything):
    """Distances in a panel are those of the file, but for one factor."""
    results = everything(amoc={"x": [float(i) for i in range(12)], "y": [0.1 * i for i in range(12)]})
    *_, amoc, _ = figure2.build(params, "small", results).draw().axes
    slopes = [np.ptp(line.get_ydata()) / np.ptp(line.get_xdata()) for line in amoc.lines if len(line.get_xdata()) == 4]
    assert slopes == pytest.approx(3 * [0.1])


def test_what_is_not_there_is_not_measured_except_in_the_demo(params, everything):
    results = everything()
    (results / "small" / "cifar10" / "embed" / "acl_long.json").unlink()
    report = figure2.build(params, "small", results)
    assert report.metrics["acl_long"] == {"knn": None, "silhouette": None}
    assert "| ACL (40 ep, b128, not measured) |" in told(report)
    assert "not measured" in [text.get_text() for axes in report.draw().axes for text in axes.texts]
    results = everything("demo")
    (results / "demo" / "cifar10" / "embed" / "acl_long.json").unlink()
    with pytest.raises(Refusal, match=r"acl_long\.json is missing: .*`python -m stages\.embed demo cifar10 acl_long`"):
        figure2.build(params, "demo", results)
    assert "Nothing is measured" in figure2.build(params, "paper", results).markdown


def test_an_encoder_that_collapsed_says_so(params, everything):
    nothing = {"knn": None, "silhouette": None, "labels": [], "x": [], "y": [], "status": "collapsed"}
    report = figure2.build(params, "small", everything(amoc=nothing))
    assert "| AMOC (20 ep, b64), collapsed | n/m | n/m |" in told(report)
    assert "collapsed" in [text.get_text() for axes in report.draw().axes for text in axes.texts]


@pytest.mark.parametrize(
    "broken",
    [
        {"knn": 160.0}, {"labels": [0]}, {"labels": 4 * [0, 1, 3]}, {"x": 12 * ["left"]}, {"perplexity": 3},
        {"test_images": 11}, {"silhouette": -2.0},
    ],
)  # fmt: skip
def test_a_broken_file_is_refused(params, everything, broken):
    with pytest.raises(Refusal, match=r"embed/amoc\.json is broken: .*make it again with `python -m stages\.embed"):
        figure2.build(params, "small", everything(amoc=broken))


@pytest.mark.parametrize(
    "other",
    [
        {"embedding": {"perplexity": 5.0, "images": 12, "seed": 2, "neighbours": 7}},
        {"train_images": 80},
    ],
)
def test_panels_that_cannot_be_compared_are_refused(params, everything, other):
    with pytest.raises(Refusal, match=r"amoc was measured with other settings or images than acl: .*stages\.embed"):
        figure2.build(params, "small", everything(amoc=other))


@pytest.mark.parametrize(
    ("other", "sentence"),
    [({"run": "acl"}, "its run is 'acl', not 'amoc'"), ({"source": "digits"}, "its source is 'digits', not 'cifar'")],
)
def test_a_file_in_the_place_of_another_is_refused(params, everything, other, sentence):
    with pytest.raises(Refusal, match=f"says that {sentence}"):
        figure2.build(params, "small", everything(amoc=other))


def test_a_class_in_two_clusters_is_named_in_one_of_them(params, everything):
    """Two thirds at the left, one at the right: their median is near the left ones, half and half it is anywhere."""
    random = np.random.default_rng(5)
    for share in (6, 4, 3):
        clusters = np.concatenate([random.normal(0, 0.1, (12 - share, 2)), random.normal(9, 0.1, (share, 2))])
        points = [*map(tuple, clusters.tolist()), (4.5, 4.5)]
        assert densest(points) in points and densest(points) != (4.5, 4.5)
    assert densest([(1.0, 2.0)]) == (1.0, 2.0)


def test_the_large_dot_is_an_image_of_its_class_with_the_name_beside_it(params, everything):
    x, y = [0.1 * i for i in range(12)], [20.0 * (i % 3) for i in range(12)]
    x[0], x[9] = -50.0, 50.0  # there is room for all names: none is moved
    report = figure2.build(params, "small", everything(amoc={"x": x, "y": y}))
    *_, amoc, _ = report.draw().axes
    dots = [line for line in amoc.lines if len(line.get_xdata()) == 4]
    named = [line for line in amoc.lines if len(line.get_xdata()) == 1]
    assert len(dots) == len(named) == len(amoc.texts) == 3
    for images, one, text in zip(dots, named, amoc.texts, strict=True):
        (place,) = one.get_xydata()
        assert one.get_color() == images.get_color()
        assert np.abs(images.get_xydata() - place).sum(axis=1).min() < 1e-6
        assert text.get_position()[0] > place[0] and text.get_position()[1] == place[1]
    assert "the image around which the smallest circle holds a quarter of its class" in told(report)


def test_names_do_not_cover_each_other_and_stay_inside():
    random = np.random.default_rng(8)
    for middles in (random.uniform(0.6, 1.0, (10, 2)), np.full((10, 2), 0.8), random.uniform(0, 1.6, (10, 2))):
        widths = random.uniform(0.1, 0.55, 10).tolist()
        places = apart([tuple(middle) for middle in middles.tolist()], widths, 1.65)
        for (a, wide), (b, broad) in itertools.combinations(zip(places, widths, strict=True), 2):
            assert abs(a[0] - b[0]) > (wide + broad) / 2 - 1e-3 or abs(a[1] - b[1]) > _HEIGHT - 1e-3
        for (x, _), width in zip(places, widths, strict=True):
            assert width / 2 - 1e-6 <= x <= 1.65 - width / 2 + 1e-6
    alone = apart([(0.5, 0.5), (1.2, 1.2)], [0.3, 0.3], 1.65)
    assert alone == [(0.5, 0.5), (1.2, 1.2)]


@pytest.mark.parametrize("vision", VISION)
def test_classes_are_told_apart_with_any_colour_vision(vision):
    seen = [lab(np.array(VISION[vision]) @ linear(colour)) for colour in COLOURS]
    assert len(seen) == 10
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15  # as methods are


def test_classes_stand_out_from_white():
    assert all(1.05 / (TO_XYZ[1] @ linear(colour) + 0.05) > 1.5 for colour in COLOURS)
