"""``thvideo workspace``: what is there, whether it is whole, and what can go."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import typer

from thvideo.cli import options
from thvideo.cli.console import one_line, say, show_help
from thvideo.cli.humane import age, count, duration, size
from thvideo.cli.options import Given, Opt, takes
from thvideo.cli.plan_table import print_columns
from thvideo.cli.render import as_json
from thvideo.errors import UsageError, WorkspaceError
from thvideo.pipeline.recipe import Recipe
from thvideo.reading import expanded
from thvideo.workspace import gc
from thvideo.workspace.store import Workspace

app = typer.Typer(add_completion=False)

_KEY_CHARACTERS = 12
_COMMON = (
    *options.WORKSPACE,
    Opt("json", options.RUNNING, "Print one JSON object a line and nothing else.", kind=bool),
    Opt("verbose", options.RUNNING, "Show the traceback of an error.", kind=bool),
)
_SET_ASIDE = Opt(
    "set_aside", "What to do", "Move what is damaged away; the next run makes it again.", kind=bool
)
_GC = (
    Opt("older_than", "What goes", "Artifacts not used for so many DAYS.", kind=float),
    Opt("keep", "What goes", "The longest unused, until SIZE is left, such as 20GB.", kind=str),
    Opt("all", "What goes", "Everything that no living run needs.", kind=bool),
    Opt("dry_run", "What goes", "Only say what would go.", ("--dry-run", "-n"), bool),
)


@app.callback(invoke_without_command=True)
def workspace(context: typer.Context) -> None:
    """See, check and clean what is kept for reuse."""
    if context.invoked_subcommand is None:
        show_help(context)


@app.command("ls")
@takes(*_COMMON)
def ls(given: Given) -> None:
    """List the artifacts, the one used last first."""
    place = _open(given)
    entries = gc.entries(place)
    if given.flag("json"):
        for entry in entries:
            say(as_json(_facts_of(entry)))
        return
    if entries:
        rows = [("key", "stage", "size", "used", "from")]
        for entry in entries:
            names = one_line(", ".join(entry.made_from))
            used = age(entry.unused_s)
            key = entry.key[:_KEY_CHARACTERS]
            rows.append((key, entry.stage, size(entry.size_bytes), used, names))
        print_columns(rows)
        say()
    usage = gc.usage(place)
    say(f"{count(len(entries), 'artifacts')}, {size(usage.total_bytes)} in {place.root}")
    if usage.partial_bytes:
        say(f"{size(usage.partial_bytes)} of it left by unfinished runs")
    if usage.damaged_bytes:
        say(f"{size(usage.damaged_bytes)} of it damaged: thvideo workspace gc removes it")


@app.command("show")
@takes(Opt("key", options.FILES, "The first characters of its key.", is_argument=True), *_COMMON)
def show(given: Given) -> None:
    """Show one artifact: what made it, from what, and what it holds."""
    entry = gc.show(_open(given), given.values["key"])
    manifest = entry.manifest
    if given.flag("json"):
        say(as_json(_facts_of(entry) | dataclasses.asdict(manifest)))
        return
    lines = {
        "stage": f"{entry.stage} (version {manifest.version})",
        "key": entry.key,
        "folder": str(entry.path),
        "made": f"{manifest.made_at}, took {duration(manifest.seconds)}",
        "memory": f"{size(manifest.peak_bytes)} at most",
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        say(f"{name:<{width}}  {value}")
    _section("parameters", manifest.parameters)
    files = {role: file.name for role, file in manifest.files.items()}
    _section("made from", manifest.inputs | files)
    _section("holds", {name: size(file.size) for name, file in manifest.payload.items()})
    _section("facts", manifest.facts)


@app.command("verify")
@takes(_SET_ASIDE, *_COMMON)
def verify(given: Given) -> None:
    """Read every byte again and compare it with what was written."""
    place = _open(given)
    damaged = gc.verify(place)
    for damage in damaged:
        line = {"stage": damage.stage, "key": damage.key, "reason": damage.reason}
        if given.flag("json"):
            say(as_json({"event": "damaged", **line}))
        else:
            say(f"{damage.key[:_KEY_CHARACTERS]}  {damage.stage}  {one_line(damage.reason)}")
    if damaged and given.flag("set_aside"):
        gc.set_aside(place, damaged)
    elif damaged:
        raise WorkspaceError(
            f"{count(len(damaged), 'artifacts')} of {place.root} damaged",
            hint="thvideo workspace verify --set-aside; the next run makes them again",
        )
    if given.flag("json"):
        say(as_json({"event": "verified", "damaged": len(damaged)}))
    elif damaged:
        say("set aside; the next run makes them again")
    else:
        say(f"all of {place.root} is as it was written")


@app.command("gc")
@takes(*_GC, *_COMMON)
def collect(given: Given) -> None:
    """Remove what unfinished runs left and what is damaged, and by choice old artifacts."""
    days, keep = given.values["older_than"], given.values["keep"]
    if days is not None and not days >= 0:
        raise UsageError(f"--older-than cannot be {days:g}", hint="give a number of days")
    rule = gc.Rule(days, None if keep is None else parse_size(keep), given.flag("all"))
    dry_run = given.flag("dry_run")
    place = _open(given)
    gone = gc.collect(place, rule, dry_run=dry_run)
    total = sum(item.size_bytes for item in gone)
    for item in gone:
        where = item.path.relative_to(place.root)
        line = {"path": str(where), "size_bytes": item.size_bytes, "reason": item.reason}
        if given.flag("json"):
            say(as_json({"event": "would_remove" if dry_run else "removed", **line}))
        else:
            parts = (*where.parts[:-1], where.name[:_KEY_CHARACTERS])
            say(f"{'/'.join(parts)}  {size(item.size_bytes)}  {item.reason}")
    if not given.flag("json"):
        verb = "would be removed" if dry_run else "removed"
        say(f"{count(len(gone), 'folders')}, {size(total)} {verb}" if gone else "nothing to remove")


def parse_size(text: str) -> int:
    """Read a size such as ``500MB`` or ``1.5 GB``, in decimal units.

    Raises:
        UsageError: It is none.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"--keep cannot be {text!r}", hint="write a size such as 500MB or 20GB")
    power = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}[found[2].lower()]
    return int(float(found[1]) * 1000**power)


def _open(given: Given) -> Workspace:
    folder = expanded(given.values["workspace"] or Recipe.workspace)
    if not folder.is_dir():
        raise WorkspaceError(
            f"there is no workspace at {folder}",
            hint="pass --workspace DIR; thvideo reenact makes one",
        )
    if not (folder / "CACHEDIR.TAG").is_file() and any(folder.iterdir()):
        raise WorkspaceError(
            f"{folder} is a folder of other things, not a workspace", hint="pass --workspace DIR"
        )
    return Workspace(folder)


def _facts_of(entry: gc.Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "stage": entry.stage,
        "size_bytes": entry.size_bytes,
        "unused_s": round(entry.unused_s),
        "made_from": entry.made_from,
        "path": str(entry.path),
    }


def _section(title: str, values: Mapping[str, Any]) -> None:
    if not values:
        return
    say()
    say(title)
    width = max(map(len, values))
    for name, value in values.items():
        text = one_line(value if isinstance(value, str) else as_json(value))
        say(f"  {name:<{width}}  {text if len(text) <= 100 else text[:97] + '...'}")
