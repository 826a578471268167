"""One image under every corruption: a row each, the clean image, then the severities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amoc.reporting.drawing.figures import COLUMN, FAINT, SMALL, sheet

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

# inches; y counts from the top of the page
_LEFT, _ABOVE, _BELOW, _SPACE = 0.86, 0.52, 0.04, 0.03  # names; titles and headings; after the last row; between images
_HEADINGS = ("clean", "1", "2", "3", "4", "5")


def draw(
    title: str, subtitle: str, rows: Sequence[tuple[str, Sequence[np.ndarray]]], clean: np.ndarray | None
) -> Figure:
    """rows: a name and an image (H, W, 3), uint8, for each severity. Pixels are shown as squares."""
    side = (COLUMN - _LEFT + _SPACE) / len(_HEADINGS) - _SPACE
    height = _ABOVE + (side + _SPACE) * max(len(rows), 1) + _BELOW
    figure, page = sheet(height, title, subtitle)
    if clean is None:
        page.text(0, _ABOVE + side / 2, "not made yet", color=FAINT, size=SMALL)
        return figure
    for place, heading in enumerate(_HEADINGS):
        middle = _LEFT + (side + _SPACE) * place + side / 2
        page.text(middle, _ABOVE - 0.05, heading, ha="center", color=FAINT, size=SMALL)
    for number, (name, images) in enumerate(rows):
        top = _ABOVE + (side + _SPACE) * number
        page.text(0, top + side / 2, name, va="center_baseline", size=SMALL)
        for place, image in enumerate((clean, *images)):
            left = _LEFT + (side + _SPACE) * place
            axes = figure.add_axes((left / COLUMN, 1 - (top + side) / height, side / COLUMN, side / height))
            axes.imshow(image, interpolation="none")  # an SVG then holds the pixels, and asks for squares
            axes.set_axis_off()
    return figure
