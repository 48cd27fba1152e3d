"""Figures as people read them."""

from collections.abc import Mapping
from typing import Any


def value_text(figure: Mapping[str, Any], value: float) -> str:
    """Write a value of a figure of the report: scaled, with its own number of digits."""
    return f"{value * figure['scale']:.{figure['decimals']}f}"


def change_text(figure: Mapping[str, Any], change: float) -> str:
    """Write a change: a share as per cent, a difference in the figure's own unit."""
    if figure["change"] == "share":
        return f"{change * 100:+.0f} %"
    return f"{change * figure['scale']:+.{figure['decimals']}f}"
