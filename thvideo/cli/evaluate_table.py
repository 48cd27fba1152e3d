"""An evaluation as a table: a line a figure, a column a method."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from thvideo.cli.console import is_terminal, say
from thvideo.cli.plan_table import print_columns

_TITLES = {"self": "self-reenactment", "cross": "cross-reenactment"}


def show_report(report: Mapping[str, Any]) -> None:
    """Print the tables of a report: means, half their intervals, and changes."""
    for mode, rows in report["tables"].items():
        lines = _lines(report["figures"], rows)
        header = [_TITLES[mode], *(row["row"] for row in rows)]
        if is_terminal(sys.stdout):
            _print_rich(header, lines)
        else:
            print_columns([header, *lines])
        say()
    if report["left_out"]:
        say(f"left out: {len(report['left_out'])}, the report says why")


def _lines(
    figures: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    from thvideo.evaluation.shown import ARROWS

    lines = []
    for figure in figures:
        cells = [_cell(figure, row["figures"].get(figure["name"])) for row in rows]
        if any(cells):
            lines.append([f"{figure['title']} {ARROWS[figure['better']]}", *cells])
    return lines


def _cell(figure: Mapping[str, Any], found: Mapping[str, Any] | None) -> str:
    from thvideo.evaluation.shown import change_text, value_text, worst_text

    if found is None:
        return ""
    text = value_text(figure, found["mean"])
    if "low" in found:
        text += f" ±{value_text(figure, (found['high'] - found['low']) / 2)}"
    change = found.get("change")
    if change is not None:
        text += f" ({change_text(figure, change['change'])})"
    return ", ".join(filter(None, (text, worst_text(figure, found))))


def _print_rich(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="left" if index == 0 else "right")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console(highlight=False).print(table)
