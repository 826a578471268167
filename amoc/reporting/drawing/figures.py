"""What all figures share: one look per method, the page of a paper, the same bytes from the same numbers.

matplotlib takes a second to import, so only drawing does so; it opens no window and reads no settings of the user's.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

COLUMN, MARGIN = 3.4, 0.05  # inches: what is drawn, and the white around it, are as wide as a column of a paper
INK, FAINT, HAIR = "#1A1A1A", "#6B6B6B", "#E0E0E0"  # text, text that stands back, rules
SMALL = 7  # points: the least that is still read in print
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}  # of a word: interrupts the rules below it
FLUSH = {"loc": "lower left", "frameon": False, "borderpad": 0, "borderaxespad": 0}  # of a key at the foot of the page
_PIXELS_PER_INCH = 2 * 96  # two for each pixel of CSS: sharp on a dense screen


@dataclass(frozen=True)
class Look:
    """How a method is drawn: the same in every figure."""

    colour: str
    marker: str = "o"

    @property
    def light(self) -> Look:
        """The same halfway to white, for what accompanies a method's own mark."""
        levels = (int(self.colour[at : at + 2], 16) for at in (1, 3, 5))
        return Look("#" + "".join(f"{(level + 255) // 2:02X}" for level in levels), self.marker)


# Okabe and Ito's palette for all kinds of colour vision; grey for its black, and Tol's indigo for its yellow, which
# is too faint for a mark on white. Eight colours are as many as can be told apart, so what the preprint fine-tunes has
# the colour of the journal's, and a marker of its own.
LOOKS = {
    "standard": Look("#4D4D4D"),
    "pgd_at": Look("#56B4E9"),
    "adv_training": Look("#56B4E9"),  # what the preprint calls PGD-AT
    "alp": Look("#CC79A7"),
    "trades": Look("#009E73"),
    "amoc": Look("#E69F00"),
    "amoc_finetuned": Look("#D55E00"),
    "acc_finetuned": Look("#D55E00", "s"),
    "aca_frozen_finetuned": Look("#D55E00", "P"),
    "moco": Look("#0072B2"),
    "acl": Look("#332288"),
    "acl_finetuned": Look("#332288"),
}

_STYLE: dict[str, Any] = {
    "font.family": "STIXGeneral",  # comes with matplotlib: the same on every machine
    "mathtext.fontset": "stix",
    "font.size": 8,
    "text.color": INK,
    "text.hinting": "none",
    "axes.axisbelow": True,
    "grid.color": HAIR,
    "grid.linewidth": 0.5,
    "xtick.labelcolor": FAINT,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 0,
    "svg.fonttype": "path",  # a reader needs no fonts
    "svg.hashsalt": "amoc",  # else the names inside an SVG are random
}
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the project, whatever the user's settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def sheet(height: float, title: str, subtitle: str) -> tuple[Figure, Axes]:
    """A figure as wide as a column, and axes over all of it in inches, y counting from the top, with its titles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN, height))
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, COLUMN), ylim=(height, 0))
    page.set_axis_off()
    page.text(0, 0.11, title, weight="bold")
    page.text(0, 0.25, subtitle)
    return figure, page


def axes_at(page: Axes, left: float, below: float, width: float, height: float, **limits: Any) -> Axes:
    """Axes without lines around them, so large and with so much page left of and below them, in inches."""
    whole = page.figure.get_figheight()
    axes = page.figure.add_axes((left / COLUMN, below / whole, width / COLUMN, height / whole), **limits)
    axes.spines[:].set_visible(False)
    return axes


def render(draw: Callable[[], Figure]) -> dict[str, bytes]:
    """Draw in that style; a file's suffix -> its content, with white around it, which depends on the drawing only."""
    from matplotlib.transforms import Bbox

    with style():
        figure = draw()
        width, height = figure.get_size_inches()
        whole = Bbox.from_extents(-MARGIN, -MARGIN, width + MARGIN, height + MARGIN)
        figure.patch.set_bounds(-MARGIN / width, -MARGIN / height, 1 + 2 * MARGIN / width, 1 + 2 * MARGIN / height)
        return {suffix: _saved(figure, suffix, metadata, whole) for suffix, metadata in _METADATA.items()}


def _saved(figure: Figure, suffix: str, metadata: dict[str, Any], part: Bbox) -> bytes:
    """part: of the page, in inches; it may be larger."""
    content = io.BytesIO()
    figure.savefig(content, format=suffix, dpi=_PIXELS_PER_INCH, metadata=metadata, bbox_inches=part)
    return content.getvalue()
