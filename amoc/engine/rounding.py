"""Numbers as they are compared between machines."""

from __future__ import annotations

from typing import Any


def rounded(value: Any, digits: int = 6) -> Any:
    """The same nested value with every float rounded to so many significant digits; machines differ further down."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
