"""What a page of HTML consists of, by the parser of Python's own library."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = ("br", "img", "link", "meta")  # elements that have no end


class Elements(HTMLParser):
    """Tags with their attributes, in order; words are dropped."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # each element ends where it should
