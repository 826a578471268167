"""Markdown of reports -> HTML, read back."""

from __future__ import annotations

import pytest

from amoc.reporting.markup import inline, to_html
from tests.reporting.elements import Elements

TABLE = """\
| Model | Clean | Note |
|-------|------:|------|
| AMOC  | 97.50 | _b_  |
| - twin | n/m | a \\| b |
"""


def html(markdown: str, title: str = "Table 5", level: int = 2) -> str:
    return to_html(markdown, title, level, lambda link: f"data:{link}")


def elements(markdown: str, **options) -> list[tuple[str, dict[str, str | None]]]:
    return Elements(html(markdown, **options)).found


def test_headings_say_what_they_are_of():
    cells = [(tag, attributes.get("scope")) for tag, attributes in elements(TABLE) if tag in ("th", "td")]
    row = [("th", "row"), ("td", None), ("td", None)]
    assert cells == [*[("th", "col")] * 3, *row, *row]


def test_numbers_stay_on_the_right_and_marks_stay():
    found = elements(TABLE)
    styles = [attributes.get("style") for tag, attributes in found if tag in ("th", "td")]
    assert styles == [None, "text-align:right", None] * 3
    assert "<em>b</em>" in html(TABLE) and "<td>a | b</td>" in html(TABLE)


def test_every_table_has_a_box_of_its_own_name_that_the_keyboard_reaches():
    boxes = [attributes for tag, attributes in elements(f"{TABLE}\nThen\n\n{TABLE}", title='"5" & 6') if tag == "div"]
    assert [box["aria-label"] for box in boxes] == ['"5" & 6: table', '"5" & 6: table 2']
    assert all((box["role"], box["tabindex"], box["class"]) == ("region", "0", "box") for box in boxes)


@pytest.mark.parametrize(("level", "tags"), [(0, ["h1", "h2"]), (2, ["h3", "h4"]), (5, ["h6", "h6"])])
def test_headings_go_down(level, tags):
    assert [tag for tag, _ in elements("# One\n\n## Two\n", level=level) if tag[0] == "h"] == tags


def test_a_picture_is_asked_for_and_keeps_its_words():
    (picture,) = [attributes for tag, attributes in elements("![Clean <and> PGD20](table5.svg)") if tag == "img"]
    assert picture == {"src": "data:table5.svg", "alt": "Clean <and> PGD20"}


def test_html_is_shown_as_text():
    assert "<script" not in html("<script>alert(1)</script>") and "<b" not in html("a <b>c</b>")
    assert inline("`x` < _y_") == "<code>x</code> &lt; <em>y</em>"


def test_one_call_does_not_change_another():
    assert html(TABLE) == html(TABLE)
