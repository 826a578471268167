"""Markdown as our reports write it -> HTML that reads well aloud, on a phone and on paper of another colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

Source = Callable[[str], str]  # what an image's link says -> what its src is to be


def to_html(markdown: str, title: str, level: int, source: Source) -> str:
    """A piece of a page.

    Args:
        markdown: CommonMark with tables; HTML in it is shown as text.
        title: what the piece is about, in plain words: by it a screen reader announces the boxes of its tables.
        level: what is added to the levels of its headings, so that they continue those of the page.
        source: for images.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = f"h{min(6, int(token.tag[1:]) + level)}"
        for child in token.children or ():
            if child.type == "image":
                child.attrSet("src", source(str(child.attrGet("src"))))
    _head_rows(tokens)
    return parser.renderer.render(tokens, parser.options, {"boxes": _Boxes(title)})


def inline(markdown: str) -> str:
    """The words of a heading, without a paragraph around them."""
    return _parser().renderInline(markdown)


class _Boxes:
    """Names the boxes in which tables scroll: two of one name could not be told apart."""

    def __init__(self, title: str) -> None:
        self.title, self.count = title, 0

    def name(self) -> str:
        self.count += 1
        return f"{self.title}: table" + (f" {self.count}" if self.count > 1 else "")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
    parser.add_render_rule("table_open", _open_box)
    parser.add_render_rule("table_close", _close_box)
    return parser


def _open_box(renderer: object, tokens: Sequence[Token], index: int, options: object, env: dict) -> str:
    """A table that is wider than the page scrolls in a box of its own, which the keyboard can reach."""
    return f'<div class="box" role="region" tabindex="0" aria-label="{escape(env["boxes"].name())}">\n<table>\n'


def _close_box(renderer: object, tokens: Sequence[Token], index: int, options: object, env: dict) -> str:
    return "</table>\n</div>\n"


def _head_rows(tokens: Sequence[Token]) -> None:
    """The first cell of each row is its heading; headings say what they are of."""
    first = False
    for token in tokens:
        if token.type == "tr_open":
            first = True
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and first:
            token.tag = "th"
            token.attrSet("scope", "row")
        elif token.type == "td_close" and first:
            token.tag, first = "th", False
