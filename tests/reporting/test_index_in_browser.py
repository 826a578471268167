"""The page of everything in a browser: no script, no request, no scrolling to the side, readable by day and night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amoc.reporting import index, switches, table2, table7, table8
from amoc.reporting.reports import write
from amoc.reporting.web_page import DARK, LIGHT
from tests import shipped
from tests.reporting.browser import Browser, browser, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"there is no {' and no '.join(missing())}")

ROOT = Path(__file__).parents[2]
WIDTHS, SCHEMES = (360, 1200), ("light", "dark")
WIDE = """\
# A wide table, and words that cannot be broken

| Model | {columns} |
|-------|{rules}|
| An encoder with settings that take many words to say (200 ep, b256) | {columns} |

`{long}` {long}

- 9. Fine-tuned
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of reports in which nothing was measured, with their pictures, and of one that is too wide for any screen."""
    folder, params = tmp_path_factory.mktemp("reports"), shipped.params()
    for report in (
        table2.build(params, "paper"), table7.build(params, "paper"),
        table8.build(params, "paper", folder), switches.build(params, "paper", folder),
    ):  # fmt: skip
        write(report, folder)
    columns, rules = (" | ".join([word] * 20) for word in ("12.34", "---:"))
    wide = folder / "peers" / "paper" / "peers.md"
    wide.parent.mkdir(parents=True)
    wide.write_text(WIDE.format(columns=columns, rules=rules, long="results/" * 30))
    return write(index.build(params, "paper", folder), folder)[2]


@pytest.fixture(
    params=[(width, scheme) for width in WIDTHS for scheme in SCHEMES], ids=lambda pair: "{}-{}".format(*pair)
)
def shown(request: pytest.FixtureRequest, window: Browser, page: Path) -> tuple[Browser, int, str]:
    window.open(page, *request.param)
    return window, *request.param


def test_nothing_is_asked_for_but_the_file(shown, page):
    asked = [address for address in shown[0].requests() if not address.startswith("data:")]
    assert asked == [page.as_uri()]


def test_the_console_is_empty(shown):
    assert shown[0].complaints() == []


def test_the_page_does_not_scroll_to_the_side(shown):
    window, width, _ = shown
    assert window.run("return document.documentElement.scrollWidth") <= width
    assert window.run("return document.documentElement.clientWidth") >= width - 20  # but for a scroll bar


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kept", sorted((ROOT / "reports" / "index").glob("*/index.html")), ids=lambda p: p.parent.name)
def test_the_pages_that_are_committed_fit_too(window, kept, width):
    window.open(kept, width, "light")
    assert [address for address in window.requests() if not address.startswith("data:")] == [kept.as_uri()]
    assert window.complaints() == []
    assert window.run("return document.documentElement.scrollWidth") <= width
    assert window.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_a_wide_table_scrolls_in_its_box(shown):
    window, width, _ = shown
    boxes = window.run("return [...document.querySelectorAll('#peers .box')].map(b => [b.clientWidth, b.scrollWidth])")
    assert len(boxes) == 1 and boxes[0][0] <= width < boxes[0][1]


def test_every_picture_is_drawn_and_fits(shown):
    window, width, _ = shown
    script = "return [...document.images].map(i => [i.complete && i.naturalWidth, i.getBoundingClientRect().width])"
    pictures = window.run(script)
    assert pictures and all(natural > 0 and 200 < there <= width for natural, there in pictures)


def test_colours_are_those_of_the_scheme_and_pictures_lie_on_white(shown):
    window, _, scheme = shown
    colours = {"light": LIGHT, "dark": DARK}[scheme]
    script = "return ['body', 'img'].map(e => getComputedStyle(document.querySelector(e)).{})".format
    assert window.run(script("backgroundColor")) == [rgb(colours["paper"]), rgb("#FFFFFF")]
    assert window.run(script("color"))[0] == rgb(colours["ink"])


def test_the_contents_stand_beside_the_text_only_where_there_is_room(shown):
    window, width, _ = shown
    left = window.run("return ['nav', '#table2'].map(e => document.querySelector(e).getBoundingClientRect().left)")
    assert (left[0] < left[1]) == (width == 1200)


def test_it_is_all_there_without_scripts(window, page):
    """The words of a report are in the file itself."""
    window.open(page, 360, "light")
    assert window.run("return document.scripts.length") == 0
    assert "Used" in window.run("return document.querySelector('#table2 th').innerText")


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[at : at + 2], 16) for at in (1, 3, 5)))
