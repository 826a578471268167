from __future__ import annotations

import csv
import io
import json

import pytest

from benchmarks import growth
from benchmarks.alone import Measured
from benchmarks.growth import AXES, Point, as_csv, conclusions, grow, longer_bank, power, sized, write, write_ratio
from benchmarks.timing import Spread


def point(axis: str, value: int, seconds: float, memory: int) -> Point:
    return Point(axis, value, Measured(Spread(0.9 * seconds, seconds, 1.1 * seconds), memory))


@pytest.fixture
def points() -> list[Point]:
    """Time that grows with the batch to the power 1 and with the steps to the power 2, memory that does not."""
    grown = [point("batch size", value, 0.1 * value, 2**30) for value in (1, 2, 4)]
    grown += [point("attack steps", value, 0.1 * value**2, 2**30) for value in (1, 2, 4)]
    return [*grown, point("bank length", 4096, 2.0, 2**30), point("bank length", 65536, 2.1, 2**30 + 2**26)]


def test_one_size_is_varied_at_a_time(small):
    plain = small()
    for axis in AXES:
        settings, images = sized(plain, 100, axis, 20)
        changed = {key for key, value in settings.plain().items() if value != plain.plain()[key]}
        expected = {"batch size": {"batch_size"}, "bank length": {"bank_length"}, "attack steps": {"attack"}}
        assert changed == expected.get(axis, set())
        assert images == (20 if axis == "images" else 100)
    assert sized(plain, 100, "attack steps", 20)[0].attack.steps == 20
    with pytest.raises(ValueError, match="unknown axis 'width'"):
        sized(plain, 100, "width", 8)


def test_each_size_is_measured(small, engine, monkeypatch, capsys):
    seen = []

    def alone(work, settings, engine, precision, **options):
        seen.append((settings.batch_size, settings.bank_length, options["images"], precision))
        return Measured(Spread(1.0, 1.0, 1.0), 2**20)

    monkeypatch.setattr(growth, "alone", alone)
    axes = {"batch size": (2, 3), "images": (50, 60)}
    points = grow(small(), engine, "float32", axes=axes, blocks=1, steps=1, images=70)
    assert [(point.axis, point.value) for point in points] == [(axis, value) for axis in axes for value in axes[axis]]
    assert seen == [(2, 40, 70, "float32"), (3, 40, 70, "float32"), (4, 40, 50, "float32"), (4, 40, 60, "float32")]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_power_is_of_the_largest_sizes(points):
    assert power(points, "batch size") == pytest.approx((1, 0))
    assert power(points, "attack steps") == pytest.approx((2, 0))


def test_conclusions(points):
    said = conclusions(points, Spread(1.03, 1.05, 1.06))
    assert "with attack steps, at its largest: time to the power 2.00, memory 0.00" in said
    assert "bank of 65536 against 4096: +64 MiB" in said
    assert "and in turn in one process: +5.0% time per step (+3.0% .. +6.0%)" in said
    assert "65536" not in conclusions(points[:6], None) and "in turn" not in conclusions(points, None)


def test_the_longer_bank_is_measured_against_the_shorter(small, engine, monkeypatch):
    """Each ratio is of neighbours in time, so that a machine that slows down slows both."""
    clock, lengths = iter((2.0, 3.0, 4.0, 5.0, 8.0, 8.0)), []

    def seconds_per_call(work, calls):
        lengths.append(work.settings.bank_length)
        return next(clock)

    monkeypatch.setattr(growth, "seconds_per_call", seconds_per_call)
    monkeypatch.setattr(growth, "SHORTER", 6)
    monkeypatch.setattr(growth, "LONGER", 9)
    ratio = longer_bank(small(), engine, "float32", images=12, size=8, blocks=3, steps=1)
    assert lengths == [6, 9] * 3
    assert ratio == pytest.approx((1.125, 1.25, 1.375))  # quartiles of 3 / 2, 5 / 4 and 8 / 8


def test_files(points, tmp_path):
    write(tmp_path / "grown", points)
    assert {path.name for path in (tmp_path / "grown").iterdir()} == {"growth.csv", "growth.svg", "growth.png"}
    assert (tmp_path / "grown" / "growth.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "grown" / "growth.csv").read_text())))
    assert len(rows) == len(points)
    assert rows[-1]["axis"] == "bank length" and rows[-1]["peak_memory_bytes"] == str(2**30 + 2**26)
    assert [float(rows[0][key]) for key in ("low", "step_seconds", "high")] == pytest.approx([0.09, 0.1, 0.11])


def test_same_points_same_bytes(points, tmp_path):
    for folder in ("one", "other"):
        write(tmp_path / folder, points)
    for suffix in ("csv", "svg", "png"):
        one, other = ((tmp_path / folder / f"growth.{suffix}").read_bytes() for folder in ("one", "other"))
        assert one == other
    assert as_csv(points).endswith("\n")


def test_what_the_longer_bank_costs_is_kept(tmp_path):
    write_ratio(tmp_path, {"device": "a CPU"}, Spread(1.03, 1.05, 1.06))
    longer = {"lengths": [4096, 65536], "low": 1.03, "ratio": 1.05, "high": 1.06}
    assert json.loads((tmp_path / "growth.json").read_text()) == {"device": "a CPU", "longer_bank": longer}
