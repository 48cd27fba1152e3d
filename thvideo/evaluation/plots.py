"""Plots as SVG: a dot and an interval for every row."""

from collections.abc import Sequence
from html import escape

_WIDTH, _LABEL, _RIGHT, _LINE, _TOP = 360.0, 130.0, 24.0, 22.0, 8.0


def dots(rows: Sequence[tuple[str, float, float, float]], decimals: int) -> str:
    """Draw means with their intervals on one axis.

    Args:
        rows: Name, mean, low and high of each.
        decimals: Digits at the axis.

    Returns:
        An ``svg`` element.
    """
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - margin, high + margin
    height = _TOP + _LINE * (len(rows) + 1)

    def across(value: float) -> float:
        return _LABEL + (value - low) / (high - low) * (_WIDTH - _LABEL - _RIGHT)

    parts = []
    bottom = _TOP + _LINE * len(rows)
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        x = across(value)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#8884"/>'
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:.{decimals}f}</text>'
        )
    for index, (name, mean, first, last) in enumerate(rows):
        y = _TOP + _LINE * (index + 0.5)
        parts.append(
            f'<text x="{_LABEL - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
            f'<line x1="{across(first):.1f}" y1="{y}" x2="{across(last):.1f}" y2="{y}" '
            'stroke="#4a7fb5" stroke-width="3" stroke-opacity=".45"/>'
            f'<circle cx="{across(mean):.1f}" cy="{y}" r="4.5" fill="#4a7fb5"/>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
