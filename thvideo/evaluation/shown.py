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


#: By whether more, less, or what is nearer to one is better.
ARROWS = {"more": "↑", "less": "↓", "one": "→1"}


def worst_text(figure: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Write the worst person's value beside a mean over several."""
    return f"worst {value_text(figure, found['worst'])}" if found.get("n_people", 0) > 1 else ""


def is_improved(figure: Mapping[str, Any], mean: float, change: float) -> bool:
    """Tell whether a mean that differs from the baseline's by a change is better than it."""
    if figure["better"] == "one":
        return abs(mean - 1) < abs(mean - change - 1)
    return (change > 0) == (figure["better"] == "more")
