"""The three forms of a table, cell by cell."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from amoc.reporting.tables import Cell, Column, Row, Table, decimals, metrics, to_csv, to_markdown

CLEAN = Column("clean", "Clean", "no attack", ranked=True, accuracy=True)
PGD20 = Column("pgd20", "PGD20", ranked=True, accuracy=True)


def values(numbers: dict[str, float | None], column: Column = CLEAN, **unranked: float) -> Table:
    rows = [Row(key, key, {column.key: Cell(number)}) for key, number in numbers.items()]
    rows += [Row(key, key, {column.key: Cell(number)}, ranked=False) for key, number in unranked.items()]
    return Table("Model", (column,), tuple(rows))


def marked(table: Table) -> list[str]:
    """The cells of a table of one column, in order."""
    lines = to_markdown(table).splitlines()[2 : 2 + len(table.rows)]
    return [line.split("|")[2].strip() for line in lines]


def test_best_and_second_best_are_marked():
    assert marked(values({"a": 10.0, "b": 30.0, "c": 20.0})) == ["10.00", "**30.00**", "_20.00_"]


def test_equal_values_share_a_mark_and_the_second_is_the_next_lower():
    table = values({"a": 30.0, "b": 30.0, "c": 20.0, "d": 20.0, "e": 1.0})
    assert marked(table) == ["**30.00**", "**30.00**", "_20.00_", "_20.00_", "1.00"]


def test_values_that_are_shown_equal_are_equal():
    assert marked(values({"a": 30.001, "b": 29.999, "c": 20.0})) == ["**30.00**", "**30.00**", "_20.00_"]


def test_a_column_of_equals_has_no_mark():
    assert marked(values({"a": 0.0, "b": 0.0})) == ["0.00", "0.00"]
    assert marked(values({"a": 7.0, "b": None})) == ["7.00", "n/m"]


def test_rows_out_of_competition_are_not_marked_and_take_no_place():
    assert marked(values({"a": 10.0, "b": 20.0}, twin=99.0)) == ["_10.00_", "**20.00**", "99.00"]


def test_an_unranked_column_has_no_marks():
    assert marked(values({"a": 1.0, "b": 2.0}, Column("epochs", "Epochs", digits=0))) == ["1", "2"]


@pytest.mark.parametrize(
    ("images", "digits"), [(1, 0), (8, 0), (100, 0), (101, 1), (200, 1), (360, 1), (1000, 1), (1001, 2), (10000, 2)]
)
def test_an_accuracy_has_the_fewest_decimals_that_tell_one_image_more(images, digits):
    shown = [f"{100 * right / images:.{digits}f}" for right in range(images + 1)]
    assert decimals(images) == digits and len(set(shown)) == images + 1
    assert digits == 0 or len({f"{100 * right / images:.{digits - 1}f}" for right in range(images + 1)}) <= images


def test_only_the_value_itself_has_the_decimals_of_its_images():
    third, published = 100 / 3, {"published": 33.125}
    cells = (Cell(third, 9), Cell(third, 360), Cell(third, 9999, **published), Cell(third))
    rows = tuple(Row(f"{number}", f"{number}", {"clean": cell}, False) for number, cell in enumerate(cells))
    table = Table("Model", (CLEAN,), rows)
    values = [line.split("|")[2].strip() for line in to_markdown(table).splitlines()[2:8]]
    assert values == ["33", "33.3", "33.33", "33.12", "+0.21", "33.33"]
    assert {row["clean"] for row in metrics(table).values()} == {33.3333}
    assert [line.split(",")[2] for line in to_csv(table).splitlines()[1:]] == ["33.3333"] * 4


def test_values_that_their_images_show_equal_share_a_mark():
    rows = (Row("a", "A", {"clean": Cell(62.6, 8)}), Row("b", "B", {"clean": Cell(63.4, 8)}), Row("c", "C", {}))
    assert marked(Table("Model", (CLEAN,), rows, 8)) == ["63", "63", ""]


@pytest.fixture
def table() -> Table:
    """One row of each sort: measured and printed, misprinted, not measured, a twin, collapsed."""
    typo = ("a misprint",)
    rows = (
        Row("a", "A", {"clean": Cell(75.0, 8, published=74.5), "pgd20": Cell(50.0, 4, published=50.001)}),
        Row(
            "b",
            "B|b",
            {
                "clean": Cell(62.5, 8, published=61.0, published_notes=typo),
                "pgd20": Cell(published=1.0, published_notes=typo),
            },
        ),
        Row("c", "- twin", {"clean": Cell(100.0, 8), "pgd20": Cell()}, ranked=False),
        Row("d", "D, collapsed", {"pgd20": Cell(missing="collapsed")}, notes=("lost",), ranked=False),
    )
    return Table("Model", (CLEAN, PGD20), rows, images=8)


def test_markdown_to_the_letter(table):
    assert to_markdown(table) == """\
| Model            |     Clean | PGD20 n=4 |
|------------------|----------:|----------:|
| A                |    **75** |        50 |
| - published      |     74.50 |     50.00 |
| - difference     |     +0.50 |     +0.00 |
| B\\|b             |      _62_ |       n/m |
| - published      | 61.00 [1] |  1.00 [1] |
| - difference     |     +1.50 |           |
| - twin           |       100 |       n/m |
| D, collapsed [2] |           | collapsed |

- Clean: no attack
- n/m: not measured
- n=4: only the first 4 test images; compare within columns. Near 50 % the 95 % interval is ±35 points, ±28 for all 8
- [1] a misprint
- [2] lost
"""


def test_csv_to_the_letter(table):
    ends = {}
    for right, images in ((6, 8), (5, 8), (8, 8), (2, 4)):
        interval = stats.binomtest(right, images).proportion_ci(method="wilson")
        ends[right, images] = f"{round(100 * interval.low, 4):.12g},{round(100 * interval.high, 4):.12g}"
    assert to_csv(table).splitlines() == [
        "key,label,clean,clean_n,clean_low,clean_high,clean_published,clean_difference,"
        "pgd20,pgd20_n,pgd20_low,pgd20_high,pgd20_published,pgd20_difference",
        f"a,A,75,8,{ends[6, 8]},74.5,0.5,50,4,{ends[2, 4]},50.001,-0.001",
        f"b,B|b,62.5,8,{ends[5, 8]},61,1.5,,,,,1,",
        f"c,- twin,100,8,{ends[8, 8]},,,,,,,,",
        "d,\"D, collapsed\",,,,,,,,,,,,",
    ]


def test_metrics_are_numbers_or_none(table):
    assert metrics(table) == {
        "a": {"clean": 75.0, "pgd20": 50.0},
        "b": {"clean": 62.5, "pgd20": None},
        "c": {"clean": 100.0, "pgd20": None},
        "d": {"clean": None, "pgd20": None},
    }


def test_metrics_leave_words_out_and_count_yes_as_one():
    columns = (Column("bank", "Bank"), Column("perturbed", "Perturbed"), Column("third", "Third"))
    row = Row("aca", "ACA", {"bank": Cell("adv"), "perturbed": Cell(True), "third": Cell(100 / 3)})
    table = Table("Variant", columns, (row,))
    assert metrics(table) == {"aca": {"perturbed": 1.0, "third": 33.3333}}
    assert to_csv(table).splitlines() == ["key,label,bank,perturbed,third", "aca,ACA,adv,yes,33.3333"]
    assert to_markdown(table).splitlines()[2] == "| ACA     | adv  | yes       | 33.33 |"


def test_a_mean_shows_its_deviation_beside_it():
    rows = (
        Row("a", "A", {"clean": Cell(95.0, 8)}),
        Row("a_mean", "- mean", {"clean": Cell(94.5, deviation=0.70711)}, ranked=False),
    )
    table = Table("Model", (CLEAN, PGD20), rows)
    assert [line.split("|")[2].strip() for line in to_markdown(table).splitlines()[2:4]] == ["95", "94.50 ± 0.71"]
    assert metrics(table)["a_mean"] == {"clean": 94.5, "clean_std": 0.7071, "pgd20": None}
    assert "clean_std" not in metrics(table)["a"]
    header, *lines = to_csv(table).splitlines()
    assert header.startswith("key,label,clean,clean_n,clean_low,clean_high,clean_std,pgd20,pgd20_n,")
    assert [line.split(",")[6] for line in lines] == ["", "0.7071"]


def test_significant_digits_keep_what_decimals_would_lose():
    p = Column("p", "p", digits=2, significant=True)
    numbers = {"a": 1.23456e-7, "b": 0.0, "c": math.inf, "d": 0.04999}
    table = Table("Test", (p,), tuple(Row(key, key, {"p": Cell(number)}) for key, number in numbers.items()))
    assert marked(table) == ["1.2e-07", "0", "inf", "0.05"]
    assert metrics(table) == {"a": {"p": 1.235e-7}, "b": {"p": 0.0}, "c": {"p": None}, "d": {"p": 0.04999}}
    assert [line.split(",")[2] for line in to_csv(table).splitlines()[1:]] == ["1.235e-07", "0", "inf", "0.04999"]


def test_a_note_said_twice_has_one_number():
    notes = ("first", "second")
    rows = (Row("a", "A", {"clean": Cell(1.0, notes=notes)}), Row("b", "B", {"clean": Cell(2.0, notes=notes[1:])}))
    text = to_markdown(Table("Model", (Column("clean", "Clean"),), rows))
    assert text.splitlines()[2:4] == ["| A     | 1.00 [1] [2] |", "| B     |     2.00 [2] |"]
    assert text.splitlines()[-2:] == ["- [1] first", "- [2] second"]


def test_a_column_says_on_how_many_images_only_where_they_are_not_all(table):
    assert "Clean n=" not in to_markdown(table)
    assert "PGD20 n=4" in to_markdown(table)


def test_columns_of_different_images_are_not_for_comparison():
    def below(images: int, **asked: int) -> list[str]:
        row = Row("a", "A", {key: Cell(50.0, n) for key, n in asked.items()})
        columns = tuple(Column(key, key, accuracy=True) for key in asked)
        return [line for line in to_markdown(Table("Model", columns, (row,), images)).splitlines() if "n=" in line[:4]]

    assert below(360, clean=360, pgd20=360) == below(360, clean=100, pgd20=100) == []
    one, two = below(10000, clean=10000, aa=100, cw=1000)
    assert one.startswith("- n=100: only the first 100 test images; ")
    assert two.startswith("- n=1000: only the first 1000 ")
    for line, images in ((one, 100), (two, 1000)):
        interval = stats.binomtest(images // 2, images).proportion_ci(method="wilson")
        assert f" is ±{50 * (interval.high - interval.low):.0f} points, ±1 for all 10000" in line
