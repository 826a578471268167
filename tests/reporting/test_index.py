"""One page of everything, from reports written by hand."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from amoc.params import PROFILES
from amoc.refusal import Refusal
from amoc.reporting import index
from amoc.reporting.judgement.paper_claims import CLAIMS, floors
from amoc.reporting.reports import write
from amoc.reporting.titles import TITLES
from amoc.reporting.web_page import DARK, LIGHT
from tests.reporting.elements import Elements

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>"
PNG = b"\x89PNG in name only"
TABLE5 = """\
> **demo**: digits stand in.
> Changed: width.

# Table 5: accuracy (%)

![Accuracy of each model](table5.svg)

| Model | Clean |
|-------|------:|
| AMOC [1] | 97.50 |

- Clean: without attack
- [1] a footnote

## What this table alone can check

Nothing.
"""


@pytest.fixture
def reports(tmp_path: Path):
    """Write a report of a profile by hand; the folder of reports."""

    def written(name: str, markdown: str, profile: str = "demo", metrics: object = None, **pictures: bytes) -> Path:
        folder = tmp_path / "reports" / name / profile
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(markdown, encoding="utf-8")
        (folder / "metrics.json").write_text(json.dumps(metrics or {}))
        for suffix, content in pictures.items():
            (folder / f"{name}.{suffix}").write_bytes(content)
        return tmp_path / "reports"

    return written


def judged(holding: set[str], failing: set[str]) -> dict:
    """The metrics.json of a page of claims."""
    unknown = {claim.key: {"holds": None, "margin": None} for claim in CLAIMS}
    unknown |= {key: {"holds": 1, "margin": 1.0} for key in holding}
    return unknown | {key: {"holds": 0, "margin": -1.0} for key in failing}


def test_nothing_made_is_no_error_in_any_profile(params, tmp_path):
    for profile in PROFILES:
        report = index.build(params, profile, tmp_path / "reports")
        assert "Reports made in this profile: 0 of" in report.markdown and "No claim has been judged" in report.markdown
        for name in TITLES:
            assert re.search(rf"\| `[^`|]*\b{name}\b[^`|]*` ", report.markdown), name
        assert report.metrics == {"reports": {"made": 0, "not_made": len(TITLES)}}
        Elements(report.html)


def test_what_was_not_made_is_listed_with_its_command(params, reports):
    demo = index.build(params, "demo", reports("table5", TABLE5, svg=SVG)).markdown
    assert "| `dvc repro reports/table3` " in demo and "`dvc repro reports/table5`" not in demo
    small = index.build(params, "small", reports("table5", TABLE5, "small", svg=SVG)).markdown
    assert "| `python -m stages.report table3 small` " in small
    assert "| `python -m stages.report claims small` " in small


def test_a_report_stands_under_its_heading_with_its_files_from_there(params, reports):
    markdown = index.build(params, "demo", reports("table5", TABLE5, svg=SVG)).markdown
    own = markdown.split('<a id="table5"></a>\n\n')[1].split("\n## ")[0]
    assert own.startswith("### Table 5: accuracy (%)\n\n> **demo**: digits stand in.\n> Changed: width.\n\n")
    assert "![Accuracy of each model](../../table5/demo/table5.svg)" in own
    assert "\n#### What this table alone can check\n" in own and "- [1] a footnote" in own
    assert "  - [Table 5: accuracy (%)](#table5)\n" in markdown
    assert re.findall(r"(?m)^# (.+)", markdown) == ["AMOC: all results of the profile demo"]


def test_links_of_the_markdown_lead_to_files_and_sections(params, reports, tmp_path):
    written = reports("table5", TABLE5, svg=SVG)
    report = index.build(params, "demo", reports("claims", "# Claims\n", metrics=judged({"claim1"}, set())))
    write(report, written)
    for name in ("table5", "claims"):
        (written / name / "demo" / f"{name}.csv").write_text("")
    headings = re.findall(r"(?m)^#+ (.+)", report.markdown)
    sections = [re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings]
    sections += re.findall(r'<a id="(\w+)">', report.markdown)
    links = re.findall(r"\]\(([^)]+)\)", report.markdown)
    assert len(links) >= 8
    for link in links:
        assert link[1:] in sections if link[0] == "#" else (written / "index" / "demo" / link).exists(), link


def test_the_html_has_everything_inside(params, reports):
    html = index.build(params, "demo", reports("table5", TABLE5, svg=SVG)).html
    found = Elements(html).found
    (picture,) = [attributes for tag, attributes in found if tag == "img"]
    assert picture["src"] == f"data:image/svg+xml;base64,{base64.b64encode(SVG).decode()}"
    assert picture["alt"] == "Accuracy of each model"
    assert found[0] == ("html", {"lang": "en-GB"})
    assert not any(tag in ("script", "iframe", "video") for tag, _ in found)
    addresses = [attributes[key] for _, attributes in found for key in ("src", "href") if key in attributes]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in html and "@import" not in html
    anchors = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert {address[1:] for address in addresses if address[0] == "#"} <= set(anchors)


def test_headings_of_the_html_are_in_order(params, reports):
    reports("claims", "> first\n\n# Claims\n\n# Floors\n\nWords.\n", metrics=judged(set(), set()))
    html = index.build(params, "demo", reports("table5", TABLE5, svg=SVG)).html
    levels = [int(level) for level in re.findall(r"<h([1-6])>", html)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert "<h3>Claims</h3>" in html and "<h3>Floors</h3>" in html and "<h4>What this table" in html


def test_of_a_large_drawing_the_pixels_are_shown(params, reports):
    large = SVG + b" " * index.LARGEST_SVG
    written = reports("table5", TABLE5, svg=large, png=PNG)
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in index.build(params, "demo", written).html
    (written / "table5/demo/table5.png").unlink()
    with pytest.raises(Refusal, match=r"table5\.png cannot be read \(No such file.*make the report again"):
        index.build(params, "demo", written)


@pytest.mark.parametrize("page", ["claims", "floors"])
def test_claims_and_floors_come_first_where_they_were_judged(params, reports, page):
    written = reports("table5", TABLE5, svg=SVG)
    if page == "claims":
        claimed = f"Claims of the papers: 2 hold, 1 does not hold, {len(CLAIMS) - 3} not measured"
        reports("claims", f"# {claimed}\n", metrics=judged({"claim1", "claim2"}, {"claim9"}))
    grounded = f"Floors of the profile: 1 hold, 0 do not hold, {len(floors('demo')) - 1} not measured"
    reports("floors", f"# {grounded}\n", metrics=judged({"floor_amoc_seed1"}, set()))
    report = index.build(params, "demo", written)
    summary = report.markdown.split("## Summary\n")[1].split("\n## ")[0]
    grounds = len(floors("demo"))
    assert f"- {grounded}" in summary
    assert report.metrics["floors"] == {"hold": 1, "do_not_hold": 0, "not_measured": grounds - 1}
    assert summary.strip() in report.shown and "Table 5" not in report.shown
    if page == "floors":
        assert "No claim has been judged yet: run `dvc repro reports/claims`." in summary
        assert "claims" not in report.metrics
        return
    unknown = len(CLAIMS) - 3
    assert f"- {claimed}\n" in summary
    assert "  - Claim 1 holds: At equal batch and epochs AMOC beats ACL\n" in summary
    assert "  - Claim 9 does not hold: " in summary and "Claim 3 " not in summary
    assert "  - Not measured: claims 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18\n" in summary
    assert "[The page of claims](#claims)" in summary
    assert report.metrics["claims"] == {"hold": 2, "do_not_hold": 1, "not_measured": unknown}
    assert report.html.index("Claims of the papers: ") < report.html.index("<nav")


def test_the_same_reports_give_the_same_bytes_and_others_do_not(params, reports, tmp_path):
    written = reports("table5", TABLE5, svg=SVG)
    one, two = (index.build(params, "demo", written) for _ in range(2))
    assert (one.html, one.markdown, one.csv) == (two.html, two.markdown, two.csv)
    changed = index.build(params, "demo", reports("table5", TABLE5.replace("97.50", "97.51"), svg=SVG))
    assert changed.html != one.html and changed.markdown != one.markdown
    assert str(tmp_path) not in one.html + one.markdown


def test_files(params, reports):
    written = reports("table5", TABLE5, svg=SVG)
    report = index.build(params, "demo", written)
    files = write(report, written)
    assert [path.name for path in files] == ["index.md", "index.csv", "index.html", "metrics.json"]
    assert files[2].read_text(encoding="utf-8") == report.html
    assert "table5,Table 5: networks under attack,yes\n" in report.csv and ",no\n" in report.csv


@pytest.mark.parametrize("content", [b"no heading\n", b"\xff\xfe", b""])
def test_what_is_no_report_is_refused(params, reports, content):
    written = reports("table5", TABLE5, svg=SVG)
    (written / "table5/demo/table5.md").write_bytes(content)
    with pytest.raises(Refusal, match=r"table5\.md is no page of a report: `dvc repro reports/table5` makes it again"):
        index.build(params, "demo", written)


def test_a_report_without_its_picture_is_refused(params, reports):
    with pytest.raises(Refusal, match=r"table5\.svg cannot be read"):
        index.build(params, "small", reports("table5", TABLE5, "small"))


def test_a_picture_of_another_kind_is_refused(params, reports):
    with pytest.raises(Refusal, match=r"table5\.gif is shown by a report, but only \.svg and \.png can be"):
        index.build(params, "demo", reports("table5", "# T\n\n![x](table5.gif)\n"))


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    levels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [level / 12.92 if level <= 0.03928 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "faint", "link"])
@pytest.mark.parametrize("behind", ["paper", "box"])
def test_contrast(colours, ink, behind):
    darker, lighter = sorted(map(luminance, (colours[ink], colours[behind])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
