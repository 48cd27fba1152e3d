"""``thvideo weights``: what ships, what can be fetched, whether it is whole, and exporting."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer

from thvideo.cli import options
from thvideo.cli.console import is_terminal, one_line, paint, say, show_help
from thvideo.cli.humane import count, size
from thvideo.cli.options import Given, Opt, takes
from thvideo.cli.plan_table import print_columns
from thvideo.cli.render import as_json
from thvideo.errors import InputError, ThvideoError, UsageError
from thvideo.reading import expanded
from thvideo.weights import cards
from thvideo.weights.fetch import Fetched, Fetching, fetch, verify_fetched
from thvideo.weights.sources import SOURCES, Source, fetched_folder, source

app = typer.Typer(add_completion=False)

_LOOKS = (
    Opt("json", options.RUNNING, "Print one JSON object a line and nothing else.", kind=bool),
    Opt("verbose", options.RUNNING, "Show the traceback of an error.", kind=bool),
)
_ONE = Opt("weights", options.FILES, "A name of weights ls, or a file.", kind=str, is_argument=True)
_NAMES = Opt("names", options.FILES, "Names of weights ls.", kind=list[str], is_argument=True)
_TRUST = (
    Opt("sha256", options.FILES, "SHA-256 that the file must have, of one whose digest nobody "
        "published.", kind=str),
    Opt("trust", options.FILES, "Take what comes where there is no SHA-256 to check it by.",
        kind=bool),
)  # fmt: skip
_SOME = Opt(
    "names", options.FILES, "Names of weights ls, or files; all that are here if left out.",
    kind=list[str], is_argument=True, is_optional=True,
)  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """Weights that are here or can be."""

    name: str
    state: str
    path: Path
    size_bytes: int
    what: str
    preset: str


_RUN = Opt("run", options.FILES, "Folder of a run of metatrain.", kind=Path, is_argument=True)
_EXPORT = (
    Opt("output", options.FILES, "The .safetensors file to write; its card goes beside it.",
        ("--output", "-o"), Path),
    Opt("checkpoint", options.FILES, r"best, last or step-N. [dim]\[default: best][/dim]",
        kind=str),
    Opt("fp32", options.FILES, "Store float32: twice the size of float16, which is enough.",
        kind=bool),
    Opt("use", options.FILES, "For what use and under which licence the weights are passed on.",
        kind=str),
    Opt("data", options.FILES, "What they were trained on, in words.",
        kind=str),
)  # fmt: skip
# What weights may be used for depends on what they were trained on, which only people know.
_USE = "Not stated. Weights may be used as far as the licence of their training data allows."


@app.callback(invoke_without_command=True)
def weights(context: typer.Context) -> None:
    """See, check, fetch and export weights."""
    if context.invoked_subcommand is None:
        show_help(context)


@app.command("ls")
@takes(*_LOOKS)
def ls(given: Given) -> None:
    """List the weights that ship, and those that can be fetched."""
    rows = _rows()
    if given.flag("json"):
        for row in rows:
            say(as_json(asdict(row)))
        return
    lines = [("name", "state", "size", "what")]
    for row in rows:
        what = f"{row.what} (generator {row.preset})" if row.preset else row.what
        lines.append((row.name, row.state, size(row.size_bytes) if row.size_bytes else "", what))
    print_columns(lines)
    say()
    say(f"fetched ones are kept in {fetched_folder()}; thvideo weights fetch NAME gets one")


@app.command("show")
@takes(_ONE, *_LOOKS)
def show(given: Given) -> None:
    """Show a card: what the weights are, how they were made, and for what use."""
    path, card = _found(given.values["weights"])
    n_bytes = path.stat().st_size
    if given.flag("json"):
        say(as_json({"file": str(path), "size_bytes": n_bytes} | card))
        return
    lines = {"file": str(path), "size": size(n_bytes)} | (card or {"card": "none"})
    width = max(map(len, lines))
    for name, value in lines.items():
        if not isinstance(value, dict):
            say(f"{name:<{width}}  {one_line(_text(value))}")
            continue
        say(name)
        inner = max(map(len, value), default=0)
        for key, fact in value.items():
            say(f"  {key:<{inner}}  {one_line(_text(fact))}")


@app.command("verify")
@takes(_SOME, *_LOOKS)
def verify(given: Given) -> None:
    """Read every byte again and compare it with the card."""
    names = given.values["names"] or [row.name for row in _rows() if row.state != "to fetch"]
    faults = []
    for name in names:
        fault = ""
        try:
            _verify(name)
        except InputError as error:
            fault = error.fact
            faults.append(error)
        if given.flag("json"):
            say(as_json({"event": "verified", "name": name, "is_whole": not fault, "why": fault}))
        else:
            say(f"{name}  {paint(one_line(fault), '1;31') if fault else 'whole'}")
    if faults:
        raise InputError(
            f"{count(len(faults), 'weights')} of {len(names)} cannot be used", hint=faults[0].hint
        )


@app.command("fetch")
@takes(_NAMES, *_TRUST, *_LOOKS)
def fetch_(given: Given) -> None:
    """Fetch public weights, such as vgg19 and vggface for the paper's losses."""
    folder = fetched_folder()
    chosen = [source(name) for name in given.values["names"]]
    if given.values["sha256"]:
        chosen = [_with_digest(one, given.values["sha256"], len(chosen)) for one in chosen]
    for one in chosen:
        with _shown_progress(one.name, given) as show_progress:
            for event in fetch(one, folder, is_trusted=given.flag("trust")):
                if isinstance(event, Fetching):
                    show_progress(event)
                else:
                    fetched = event
        _tell_fetched(one, fetched, given)


@app.command("export")
@takes(_RUN, *_EXPORT, *_LOOKS)
def export(given: Given) -> None:
    """Write a checkpoint of a run as one file of weights with its card."""
    run, target = expanded(given.values["run"]), given.values["output"]
    if target is None:
        raise UsageError("no file to write is given", hint=f"thvideo weights export {run} -o FILE")
    from thvideo.training.meta_export import export_run

    target = expanded(target)
    checkpoint, use = given.values["checkpoint"] or "best", given.values["use"] or _USE
    data = given.values["data"]
    said = {"use": use} | ({"data": data} if data else {})
    card = export_run(run, target, checkpoint, said=said, is_halved=not given.flag("fp32"))
    if given.flag("json"):
        say(as_json({"event": "exported", "path": str(target)} | card))
        return
    n_bytes = size(target.stat().st_size)
    say(f"{target}  {card['preset']}, {count(card['steps'], 'steps')}, {n_bytes}")
    if use == _USE:
        say("its card says nothing of a licence: --use TEXT writes one into it")


def _with_digest(what: Source, sha256: str, n_chosen: int) -> Source:
    """The source with the digest that the person gives, which no published one may contradict."""
    digest = sha256.strip().lower()
    if n_chosen != 1 or not re.fullmatch("[0-9a-f]{64}", digest):
        raise UsageError(
            "--sha256 is the 64 digits of one file", hint="thvideo weights fetch NAME --sha256 HEX"
        )
    if not digest.startswith(what.sha256):
        raise UsageError(f"the published SHA-256 of {what.name} begins with {what.sha256[:8]}")
    return replace(what, sha256=digest)


def _tell_fetched(what: Source, fetched: Fetched, given: Given) -> None:
    if given.flag("json"):
        facts = {"name": what.name, "is_published": bool(what.sha256)}
        say(as_json({"event": "fetched"} | facts | asdict(fetched)))
        return
    say(f"{what.name}  {'fetched to' if fetched.is_new else 'is at'} {fetched.path}")
    if not what.sha256:
        say(f"nobody published a SHA-256 of {what.name}; that of this file is {fetched.sha256}")


@contextmanager
def _shown_progress(name: str, given: Given) -> Iterator[Callable[[Fetching], None]]:
    """Give a function that shows how far a fetch is: a bar, JSON lines, or nothing."""
    if given.flag("json"):
        yield lambda event: say(as_json({"event": "fetching", "name": name} | asdict(event)))
        return
    if not is_terminal(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda event: progress.update(
            task, completed=event.done_bytes, total=event.total_bytes or None
        )


def _rows() -> list[_Row]:
    rows = []
    for name in cards.shipped_names():
        path = cards.shipped_weight(name)
        try:
            card = cards.read_card(path)
        except ThvideoError as error:
            rows.append(_Row(name, "damaged", path, path.stat().st_size, error.fact, ""))
            continue
        what, preset = str(card.get("what", "no card")), str(card.get("preset", ""))
        rows.append(_Row(name, "shipped", path, path.stat().st_size, what, preset))
    for one in SOURCES:
        path = fetched_folder() / one.file
        here = path.is_file()
        n_bytes = path.stat().st_size if here else one.n_bytes
        rows.append(_Row(one.name, "fetched" if here else "to fetch", path, n_bytes, one.what, ""))
    return rows


def _found(name: str) -> tuple[Path, cards.Card]:
    """The file of a name or path, and its card."""
    if name in cards.shipped_names():
        path = cards.shipped_weight(name)
        return path, cards.read_card(path)
    for one in SOURCES:
        if one.name == name:
            verify_fetched(one, fetched_folder())
            facts = {"name": name, "what": one.what, "use": one.licence, "url": one.urls[0]}
            return fetched_folder() / one.file, facts
    path = expanded(name)
    return path, cards.read_card(path)


def _verify(name: str) -> None:
    if name in cards.shipped_names():
        cards.verify(name)
    elif name in {one.name for one in SOURCES}:
        verify_fetched(source(name), fetched_folder())
    else:
        cards.verify_file(expanded(name))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return value if isinstance(value, str) else as_json(value)
