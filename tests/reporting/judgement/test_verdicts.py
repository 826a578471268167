"""How verdicts are written."""

from __future__ import annotations

import pytest

from amoc.reporting.judgement import verdicts
from amoc.reporting.judgement.inequalities import Quantity, above, ratio
from amoc.reporting.judgement.judging import Claim, Part, judge, narrow


@pytest.fixture
def judged() -> list:
    cost = ratio(Quantity("t", "a", "s"), Quantity("t", "b", "s"), 0.5, 2)
    claims = (
        Claim("claim1", "A beats B", "paper, Table 1", (Part("in clean", above("t", "a", ["b"], ("clean",))),)),
        Claim("claim2", "B beats A", "paper, Table 1", (Part("in clean", above("t", "b", ["a"], ("clean",))),)),
        Claim("claim3", "C beats B", "paper, Table 1", (Part("in clean", above("t", "c", ["b"], ("clean",))),)),
        Claim("floor_x", "A costs like B", "demo profile", (Part("0.5 to 2", (cost,), "ratio"),)),
    )
    return judge(claims, {"t": {"a": {"clean": 75.0, "s": 3.0}, "b": {"clean": 70.5, "s": 2.0}}})


def test_markdown_to_the_letter(judged):
    assert verdicts.markdown(judged, "Claim") == """\
| Claim                         | Verdict       | Margin | Unit   |
|-------------------------------|---------------|-------:|--------|
| 1. A beats B (paper, Table 1) | holds         |  +4.50 | points |
| - in clean                    | holds         |  +4.50 | points |
| 2. B beats A (paper, Table 1) | does not hold |  -4.50 | points |
| - in clean                    | does not hold |  -4.50 | points |
| 3. C beats B (paper, Table 1) | not measured  |        |        |
| A costs like B (demo profile) | holds         | +0.500 | ratio  |
| - 0.5 to 2                    | holds         | +0.500 | ratio  |

- 1. A beats B: closest is a over b, clean: a clean 75, b clean 70.5
- 2. B beats A: fails most at b over a, clean: b clean 70.5, a clean 75
- 3. C beats B: not given: c in t
- A costs like B: closest is a / b, s: a s 3, b s 2
"""


def test_a_claim_of_which_another_report_decides_a_part_holds_so_far():
    here, elsewhere = (Part(f"in {table}", above(table, "a", ["b"], ("clean",))) for table in ("t", "u"))
    claims = narrow([Claim("claim1", "A beats B", "paper", (here, elsewhere))], {"t"})
    (holds,) = judge(claims, {"t": {"a": {"clean": 2.0}, "b": {"clean": 1.0}}})
    (fails,) = judge(claims, {"t": {"a": {"clean": 1.0}, "b": {"clean": 2.0}}})
    assert "| 1. A beats B (paper) | holds so far |" in verdicts.markdown([holds], "Claim")
    assert "| - in t               | holds        |" in verdicts.markdown([holds], "Claim")
    assert "| 1. A beats B (paper) | does not hold |" in verdicts.markdown([fails], "Claim")


def test_csv_has_every_part_and_its_detail(judged):
    lines = verdicts.csv(judged).splitlines()
    assert lines[0] == "key,label,verdict,margin,seeds,unit,detail"
    assert lines[6] == "claim3_1,- in clean,not measured,,,,not given: c in t"
    assert len(lines) == 9


def test_metrics_and_counts(judged):
    assert verdicts.metrics(judged) == {
        "claim1": {"holds": 1, "margin": 4.5, "seeds": None},
        "claim2": {"holds": 0, "margin": -4.5, "seeds": None},
        "claim3": {"holds": None, "margin": None, "seeds": None},
        "floor_x": {"holds": 1, "margin": 0.5, "seeds": None},
    }
    assert verdicts.counts(judged) == {"holds": 2, "does_not_hold": 1, "not_measured": 1}
    assert verdicts.count(judged) == "2 hold, 1 does not hold, 1 not measured"


def test_two_sets_of_numbers_side_by_side_to_the_letter():
    in_clean, in_cost = (Part(f"in {c}", above("t", "a", ["b"], (c,))) for c in ("clean", "cost"))
    claims = (Claim("claim7", "A beats B", "paper", (in_clean, in_cost)), Claim("claim8", "Same", "paper", (in_cost,)))
    one, other = (
        judge(claims, {"t": {"a": {"clean": number, "cost": 2.0}, "b": {"clean": 70.0, "cost": 1.0}}})
        for number in (69.0, 71.25)
    )
    assert verdicts.in_comparison(one, other, ("Of the means", "Of seed 1")) == """\
| Part of a claim | Verdict | Of the means | Of seed 1 | Unit   |
|-----------------|---------|-------------:|----------:|--------|
| 7. in clean     | holds   |        +1.25 |     -1.00 | points |
"""
    assert verdicts.in_comparison(one, one, ("Of the means", "Of seed 1")) == ""
