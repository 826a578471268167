"""A table of measurements, and its three forms: Markdown to read, CSV to compute with, numbers for `dvc metrics`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from amoc.reporting.judgement.statistics import wilson

NOT_MEASURED = "n/m"
Value = float | bool | str | None


@dataclass(frozen=True)
class Column:
    """One column. `legend` explains the heading in a line below the table."""

    key: str
    heading: str
    legend: str = ""
    digits: int = 2  # decimals shown, see `decimals`; two values are equal when they are shown equal
    significant: bool = False  # digits are significant ones instead: for p-values, whose size is what they say
    ranked: bool = False  # the best and second best (the highest) are marked
    accuracy: bool = False  # percent of n images: the CSV gives n and an interval too


def decimals(images: int) -> int:
    """Of an accuracy in percent of so many images: as few as tell it from one image more.

    None for up to 100 images, one for up to 1000, two for up to 10,000.
    """
    return max(0, len(str(images - 1)) - 2)


@dataclass(frozen=True)
class Cell:
    """One cell. A value of None was not measured and is shown as `missing`."""

    value: Value = None
    n: int | None = None  # images asked, for an accuracy
    deviation: float | None = None  # standard deviation, where the value is a mean over seeds
    published: float | None = None
    shown: str | None = None  # in place of the number's decimals: 8/255
    missing: str = NOT_MEASURED
    notes: tuple[str, ...] = ()
    published_notes: tuple[str, ...] = ()

    @property
    def number(self) -> float | None:
        """The value if it is a number, yes and no as 1 and 0."""
        return None if self.value is None or isinstance(self.value, str) else float(self.value)

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """The ends of an accuracy's Wilson 95 % interval, in percent; (None, None) where nothing was measured."""
        if self.number is None or self.n is None:
            return None, None
        return wilson(round(self.number * self.n / 100), self.n)


@dataclass(frozen=True)
class Row:
    """One row. Only rows that are `ranked` compete for best and second best."""

    key: str
    label: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    ranked: bool = True
    notes: tuple[str, ...] = ()  # an empty one says nothing


@dataclass(frozen=True)
class Table:
    """Columns and rows. `images` is the size of the test split: a column measured on fewer says on how many."""

    corner: str  # heading of the labels
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    images: int | None = None

    def cell(self, row: Row, column: Column) -> Cell:
        return row.cells.get(column.key, Cell(missing=""))

    def cells(self, column: Column) -> list[Cell]:
        """From top to bottom."""
        return [self.cell(row, column) for row in self.rows]


def metrics(table: Table) -> dict[str, dict[str, float | None]]:
    """Row key -> column -> number, None where nothing was measured. Columns of words are left out.

    The standard deviation of a mean is the column <column>_std of its row.
    """
    columns = [column for column in table.columns if not any(isinstance(c.value, str) for c in table.cells(column))]
    numbers: dict[str, dict[str, float | None]] = {}
    for row in table.rows:
        cells = {column: table.cell(row, column) for column in columns}
        own = {column.key: _rounded(column, cell.number) for column, cell in cells.items()}
        repeated = {column: cell.deviation for column, cell in cells.items() if cell.deviation is not None}
        numbers[row.key] = own | {f"{column.key}_std": _rounded(column, std) for column, std in repeated.items()}
    return numbers


def to_csv(table: Table) -> str:
    """One line per row, empty where nothing was measured.

    Each accuracy is followed by n and the ends of its Wilson 95 % interval; in a column that has means over seeds, by
    their standard deviation; and, in a column of which numbers were published, by the published one and ours minus it.
    """
    header, lines = ["key", "label"], [[row.key, row.label] for row in table.rows]
    for column in table.columns:
        compared, repeated = _compared(table, column), any(c.deviation is not None for c in table.cells(column))
        header += [column.key]
        header += [f"{column.key}_{name}" for name in ("n", "low", "high") if column.accuracy]
        header += [f"{column.key}_std"] if repeated else []
        header += [f"{column.key}_{name}" for name in ("published", "difference") if compared]
        for line, cell in zip(lines, table.cells(column), strict=True):
            line += [_plain(column, cell.value)]
            line += [_plain(column, value) for value in (cell.n, *cell.interval) if column.accuracy]
            line += [_plain(column, cell.deviation)] if repeated else []
            line += [_plain(column, value) for value in (cell.published, _difference(cell)) if compared]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """An aligned table, then what its headings and notes mean.

    In a ranked column the highest value of the ranked rows is **bold** and the next lower one _underscored_; equal
    values share a mark, and a column in which all are equal has none. A row with published numbers takes three lines:
    ours, published, and ours minus published.
    """
    notes = _Notes()
    marks = {column: _marks(table, column) for column in table.columns}
    lines = [[table.corner, *(_heading(table, column) for column in table.columns)]]
    for row in table.rows:
        cells = [(column, table.cell(row, column)) for column in table.columns]
        label = row.label + notes.refer(row.notes)
        lines += [[label, *(_shown(c, cell, marks[c].get(row.key, "")) + notes.refer(cell.notes) for c, cell in cells)]]
        if any(cell.published is not None for _, cell in cells):
            printed = [_fixed(column, cell.published) + notes.refer(cell.published_notes) for column, cell in cells]
            lines += [["- published", *printed]]
            lines += [["- difference", *(_fixed(column, _difference(cell), "+") for column, cell in cells)]]
    below = [f"- {column.heading}: {column.legend}" for column in table.columns if column.legend]
    if any(cell.value is None and cell.missing == NOT_MEASURED for c in table.columns for cell in table.cells(c)):
        below.append(f"- {NOT_MEASURED}: not measured")
    below += [*_fewer(table), *notes.lines()]
    left = [True, *(_is_words(table, column) for column in table.columns)]
    return "\n".join([*_aligned(lines, left), *([""] if below else []), *below]) + "\n"


class _Notes:
    """Numbers notes in the order in which they are first referred to."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def refer(self, texts: Iterable[str]) -> str:
        """' [1] [3]' for notes; the empty string for none."""
        texts = dict.fromkeys(filter(None, texts))
        self.texts += [text for text in texts if text not in self.texts]
        return "".join(f" [{self.texts.index(text) + 1}]" for text in texts)

    def lines(self) -> list[str]:
        return [f"- [{number}] {text}" for number, text in enumerate(self.texts, start=1)]


def _is_words(table: Table, column: Column) -> bool:
    return any(isinstance(cell.value, str | bool) for cell in table.cells(column))


def _compared(table: Table, column: Column) -> bool:
    return any(cell.published is not None for cell in table.cells(column))


def _heading(table: Table, column: Column) -> str:
    """The heading, with the number of images where it is not the whole test split."""
    counts = {cell.n for cell in table.cells(column) if cell.n is not None} - {table.images}
    return column.heading + (f" n={'/'.join(map(str, sorted(counts)))}" if counts else "")


def _fewer(table: Table) -> list[str]:
    """What to bear in mind where the table's columns are of different numbers of images; a line for each number."""
    counts = {cell.n for column in table.columns for cell in table.cells(column) if cell.n is not None}
    few = sorted(counts - {table.images}) if len(counts) > 1 else []
    return [
        f"- n={n}: only the first {n} test images; compare within columns. Near 50 % the 95 % interval is "
        f"±{_half_width(n):.0f} points"
        + (f", ±{_half_width(table.images):.0f} for all {table.images}" if table.images else "")
        for n in few
    ]


def _half_width(images: int) -> float:
    """Of the Wilson 95 % interval of an accuracy near 50 %, in points."""
    low, high = wilson(images // 2, images)
    return (high - low) / 2


def _marks(table: Table, column: Column) -> dict[str, str]:
    """Row key -> what to put around its value."""
    if not column.ranked:
        return {}
    cells = {row.key: table.cell(row, column) for row in table.rows if row.ranked}
    values = {k: round(cell.number, _digits(column, cell)) for k, cell in cells.items() if cell.number is not None}
    order = sorted(set(values.values()), reverse=True)
    if len(order) < 2:
        return {}
    return {key: "**" if value == order[0] else "_" for key, value in values.items() if value >= order[1]}


def _shown(column: Column, cell: Cell, mark: str) -> str:
    if cell.value is None:
        return cell.missing
    if isinstance(cell.value, bool):
        return "yes" if cell.value else "no"
    if isinstance(cell.value, str):
        return cell.value
    spread = "" if cell.deviation is None else f" ± {_fixed(column, cell.deviation)}"
    return f"{mark}{cell.shown or _fixed(column, cell.value, digits=_digits(column, cell))}{mark}{spread}"


def _digits(column: Column, cell: Cell) -> int:
    """Of the cell's own value. What was published, means over seeds and differences have the column's."""
    return column.digits if cell.n is None else min(column.digits, decimals(cell.n))


def _fixed(column: Column, value: float | None, sign: str = "", digits: int | None = None) -> str:
    digits = column.digits if digits is None else digits
    if column.significant:
        return "" if value is None else f"{value:{sign}.{digits}g}"
    return "" if value is None else f"{round(value, digits) + 0.0:{sign}.{digits}f}"  # + 0.0: no -0.00


def _difference(cell: Cell) -> float | None:
    return None if cell.number is None or cell.published is None else cell.number - cell.published


def _rounded(column: Column, value: float | None) -> float | None:
    """Four decimals: finer than one image in ten thousand, and the same text on every machine. (Or significant ones.)

    None for an infinity, which JSON cannot say.
    """
    if value is None or math.isinf(value):
        return None
    return float(f"{value:.4g}") if column.significant else round(value, 4)


def _plain(column: Column, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or math.isinf(value):
        return str(value)
    return f"{_rounded(column, value):.12g}"


def _aligned(lines: list[list[str]], left: list[bool]) -> list[str]:
    """Markdown of equal column widths: words to the left, numbers to the right."""
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(left))]
    signs = ["<" if words else ">" for words in left]
    texts = [
        "| " + " | ".join(f"{text:{sign}{width}}" for text, sign, width in zip(line, signs, widths, strict=True)) + " |"
        for line in lines
    ]
    rules = ["-" * (width + 1) + ("-" if words else ":") for words, width in zip(left, widths, strict=True)]
    return [texts[0], f"|{'|'.join(rules)}|", *texts[1:]]
