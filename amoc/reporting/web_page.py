"""One HTML file that needs nothing else, no script, font or request: for a phone and a desk, by day and by night.

Figures are drawn for white paper, so in the dark they lie on a light card.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

# Text, and text that stands back, have a contrast of at least 4.5 with what is behind them (WCAG 2.1, AA).
LIGHT = {
    "paper": "#FFFFFF",
    "box": "#F4F4F2",
    "ink": "#1A1A1A",
    "faint": "#595959",
    "rule": "#C9C9C5",
    "link": "#00559C",
}
DARK = {
    "paper": "#15181B",
    "box": "#20252A",
    "ink": "#E9E7E3",
    "faint": "#ABB0B6",
    "rule": "#454C53",
    "link": "#8CC4FF",
}
_BELOW = "below-the-contents"


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading of level 2 or 3, and what is below it."""

    title: str  # HTML
    level: int
    html: str = ""
    anchor: str = ""  # by which links find it


def web_page(title: str, first: str, summary: Section, contents: str, sections: Iterable[Section]) -> str:
    """The file.

    Args:
        title: in plain words.
        first: HTML, between the title and the summary.
        contents: HTML, a list of links to the sections: after the summary, or beside all where the screen is wide.
        sections: in order.
    """
    parts = "".join(_section(section) for section in sections)
    return f"""\
<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{_variables(":root", LIGHT)}
@media (prefers-color-scheme: dark) {{ {_variables(":root", DARK)} }}
{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{escape(title)}</h1>
{first}{_section(summary)}</header>
<nav aria-label="Contents">
<a class="skip" href="#{_BELOW}">Skip the contents</a>
<p>Contents</p>
{contents}</nav>
<div id="{_BELOW}">
{parts}</div>
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    named = f' id="{escape(section.anchor)}"' if section.anchor else ""
    heading = f"<h{section.level}>{section.title}</h{section.level}>"
    return f"<section{named}>\n{heading}\n{section.html}</section>\n"


def _variables(selector: str, colours: dict[str, str]) -> str:
    return f"{selector} {{ {' '.join(f'--{name}: {colour};' for name, colour in colours.items())} }}"


_STYLE = """\
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1rem; max-width: 86rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, .box:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; margin: 2rem 0 .75rem; text-wrap: balance; }
h1 { font-size: 1.6rem; margin-top: 0; }
h2 { font-size: 1.35rem; margin-top: 2.5rem; padding-top: .75rem; border-top: 2px solid var(--rule); }
h3 { font-size: 1.15rem; }
h4, h5, h6 { font-size: 1rem; }
p, ul, ol { max-width: 46rem; margin: .75rem 0; }
ul, ol { padding-left: 1.25rem; }
section ul { font-size: .9rem; }
li:has(> ol:only-child) { list-style: none; margin-left: -1.25rem; }  /* an item that begins with a number */
li > ol { margin: 0; padding-left: 2rem; }
blockquote { margin: .75rem 0; padding: .25rem .75rem; border-left: 3px solid var(--rule); color: var(--faint);
  font-size: .875rem; }
blockquote p { margin: .25rem 0; }
code { font-size: .875em; overflow-wrap: anywhere; }
img { display: block; width: 34rem; max-width: 100%; height: auto; margin: 1rem 0; padding: 1rem; background: #FFFFFF;
  border: 1px solid var(--rule); border-radius: .5rem; }
nav { font-size: .9rem; }
nav p { font-weight: 700; margin: 2rem 0 0; }
nav ul { list-style: none; padding-left: 0; margin: .25rem 0; }
nav ul ul { padding-left: .75rem; margin-bottom: .5rem; }
nav a { display: inline-block; padding: .2rem 0; }
nav .skip { position: absolute; left: -100vw; }
nav .skip:focus { position: static; }
.box { overflow-x: auto; width: fit-content; max-width: 100%; margin: 1rem 0; border: 1px solid var(--rule); }
table { border-collapse: collapse; width: max-content; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; max-width: 26rem; text-align: left; vertical-align: top; }
thead th { background: var(--box); }
tbody tr { border-top: 1px solid var(--rule); }
tbody th { max-width: 24rem; font-weight: 400; background: var(--paper); }
em { font-style: normal; text-decoration: underline; text-underline-offset: .2em; }  /* what the legends call it */
@media (max-width: 40rem) {
  img { padding: .25rem; }
  th, td, tbody th { max-width: 11rem; }
  tr > th:first-child { position: sticky; left: 0; max-width: 9rem; }  /* stays in sight while the numbers scroll */
}
@media (min-width: 64rem) {
  main { display: grid; grid-template-columns: 16rem minmax(0, 1fr); column-gap: 2.5rem; padding: .5rem 1rem; }
  main > * { grid-column: 2; }
  nav { grid-area: 1 / 1 / span 2; position: sticky; top: 1.5rem; align-self: start; max-height: calc(100vh - 3rem);
    overflow-y: auto; }
  nav p { margin-top: 0; }
}
@media print { main { display: block; } nav { display: none; } .box { overflow: visible; } }
"""
