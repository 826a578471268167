"""Training curves as CSV: a row per epoch, six significant digits, an empty field for what was not looked at."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from amoc.engine.files import write_atomically


def write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows that share their keys, which become the header.

    A run that ended before its first epoch gives an empty file.
    """
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            [{key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows]
        )
    write_atomically(path, text.getvalue())
