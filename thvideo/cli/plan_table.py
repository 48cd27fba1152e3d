"""The plan as a table: each stage, what happens to it, and why."""

import sys
from collections.abc import Sequence

from thvideo.cli.console import is_terminal, one_line, say
from thvideo.cli.options import Given
from thvideo.cli.render import as_json
from thvideo.pipeline.plan import Step

_STYLES = {"run": "bold yellow", "reuse": "green", "skip": "dim"}


def show_plan(steps: Sequence[Step], given: Given) -> None:
    """Print a plan as a table, or as JSON lines."""
    if given.flag("json"):
        for step in steps:
            line = {"id": step.node.id, "action": step.action, "reason": step.reason}
            say(as_json({"event": "step", **line, "key": step.key}))
        return
    if given.flag("quiet"):
        return
    rows = [(step.node.id, step.action, one_line(step.reason)) for step in steps]
    if is_terminal(sys.stdout):
        _print_rich(rows)
    else:
        print_columns([("stage", "action", "why"), *rows])
    n_run = sum(step.action == "run" for step in steps)
    say()
    say(f"{n_run} of {len(steps)} stages would run" if n_run else "nothing would run")


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns, never wrapped; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row[:-1], widths, strict=True)]
        say("  ".join([*cells, row[-1]]).rstrip())


def _print_rich(rows: Sequence[tuple[str, str, str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, action, reason in rows:
        table.add_row(Text(name), Text(action, style=_STYLES[action]), Text(reason, style="dim"))
    Console(highlight=False).print(table)
