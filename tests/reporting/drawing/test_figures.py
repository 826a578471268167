"""The looks of the methods, and the files of a picture."""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from amoc.reporting import table5
from amoc.reporting.drawing.figures import COLUMN, LOOKS, MARGIN, Look, render, style
from tests import shipped

ROOT = Path(__file__).parents[3]
METHODS = ("standard", "pgd_at", "alp", "trades", "amoc", "amoc_finetuned", "moco", "acl")

# Machado, Oliveira and Fernandes 2009, severity 1: what a dichromat sees of linear red, green and blue
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    """'#FF0000' -> linear light in [0, 1]."""
    levels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE 1976 L*, a*, b* of linear light."""
    x, y, z = TO_XYZ @ np.clip(light, 0, 1) / TO_XYZ.sum(axis=1)
    f = [np.cbrt(t) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_methods_are_told_apart_with_any_colour_vision(vision):
    seen = {name: lab(np.array(VISION[vision]) @ linear(LOOKS[name].colour)) for name in METHODS}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(METHODS, 2)}
    assert min(distances.values()) > 15, min(distances, key=distances.get)  # a just noticeable difference is 2.3


@pytest.mark.parametrize("name", LOOKS)
def test_marks_stand_out_from_white(name):
    luminance = TO_XYZ[1] @ linear(LOOKS[name].colour)
    assert 1.05 / (luminance + 0.05) > 2.2


def test_the_preprints_networks_are_told_by_their_markers():
    preprints = {"adv_training", "acc_finetuned", "aca_frozen_finetuned"}
    assert set(LOOKS) == {*METHODS, "acl_finetuned"} | preprints
    assert (LOOKS["adv_training"], LOOKS["acl_finetuned"]) == (LOOKS["pgd_at"], LOOKS["acl"])
    assert {LOOKS[name].colour for name in preprints - {"adv_training"}} == {LOOKS["amoc_finetuned"].colour}
    own = [look for name, look in LOOKS.items() if name not in ("adv_training", "acl_finetuned")]
    assert len(set(own)) == len(own)


def test_light_is_halfway_to_white():
    assert Look("#0080FF", "s").light == Look("#7FBFFF", "s")


# ---------------------------------------------------------------- files


def drawing() -> Figure:
    figure = Figure(figsize=(COLUMN, 1))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.plot([0, 1], [0, 1], marker="o", label=r"$\ell_\infty$")
    axes.legend()
    return figure


def test_the_same_bytes_whatever_the_users_settings():
    first = render(drawing)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "lines.color": "red", "axes.grid": True}):
        assert render(drawing) == first
        assert matplotlib.rcParams["font.size"] == 20


def test_an_svg_says_neither_when_nor_with_what_it_was_made():
    svg = render(drawing)["svg"].decode()
    assert "date" not in svg
    assert matplotlib.__version__ not in svg
    assert "font-family" not in svg


def test_a_png_has_two_pixels_for_each_of_the_page():
    png = render(drawing)["png"]
    assert struct.unpack(">II", png[16:24]) == (round((COLUMN + 2 * MARGIN) * 192), round((1 + 2 * MARGIN) * 192))
    assert b"Software" not in png


def test_there_is_white_all_around():
    """Opaque, whatever is behind it."""
    pixels = imread(io.BytesIO(render(drawing)["png"]))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert np.array_equal(edge, np.ones_like(edge))


def test_another_process_imports_matplotlib_to_draw_the_same_bytes_without_a_window(tmp_path):
    code = f"""
import hashlib
import sys
from pathlib import Path
from amoc.params import Params
from amoc.reporting.drawing import figures
from amoc.reporting import networks, table5
report = table5.build(Params.load(), "paper", Path({str(tmp_path)!r}))
print("matplotlib" in sys.modules)
contents = figures.render(report.draw).values()
print("matplotlib.pyplot" in sys.modules)
print(*(hashlib.sha256(content).hexdigest() for content in contents))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    here = render(table5.build(shipped.params(), "paper", tmp_path).draw)
    digests = [hashlib.sha256(content).hexdigest() for content in here.values()]
    assert done.stdout.split() == ["False", "False", *digests]


RECORDED = sorted(path.parts[-3:-1] for path in (ROOT / "reports").glob("*/*/*.svg"))


@pytest.mark.parametrize(("name", "profile"), RECORDED)
def test_nothing_is_written_beyond_the_edge_of_a_recorded_picture(monkeypatch, name, profile):
    """The names of runs are as long as their settings make them."""
    monkeypatch.chdir(ROOT)
    draw = import_module(f"amoc.reporting.{name}").build(shipped.params(), profile).draw
    with style():
        figure = draw()
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        scales = {label for axes in figure.axes for label in axes.xaxis.get_ticklabels() + axes.yaxis.get_ticklabels()}
        for text in {*figure.findobj(Text)} - scales:  # of those labels matplotlib draws what is in range
            if text.get_visible() and text.get_text().strip():
                box = text.get_window_extent(renderer)
                assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1, text.get_text()
                assert box.y0 >= -1 and box.y1 <= figure.bbox.height + 1, text.get_text()
