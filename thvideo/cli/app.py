"""The ``thvideo`` command: what can be typed, and where it is; a command loads when it runs."""

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from thvideo.cli.console import say, show_help

_STAGES = "One stage alone"
_TRAINING = "Training"
_CARE = "Care"


@dataclass(frozen=True)
class Entry:
    """A command in the list that ``thvideo --help`` shows.

    Args:
        name: What is typed.
        place: ``module:name`` below ``thvideo.cli`` of its function, or of its own commands.
        summary: The first paragraph of its help, which stands here too so that the list can be
            shown without loading every command.
        panel: The panel of the list it stands in; the first one when None.
    """

    name: str
    place: str
    summary: str
    panel: str | None = None

    def load(self) -> Any:
        """Return the function or the ``typer.Typer``."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"thvideo.cli.{module}"), name)


ENTRIES = (
    Entry("reenact", "reenact:reenact",
        "Move the face in the source as the driver moves, and write the video."),
    Entry("plan", "reenact:plan", "Show what reenact would run, what it would reuse, and why."),
    Entry("extract", "stage_commands:extract",
        "Read pictures or videos into the workspace: exact frame times, cuts and colours.",
        _STAGES),
    Entry("track", "stage_commands:track",
        "Find the landmarks of one face in pictures or videos.", _STAGES),
    Entry("embed", "stage_commands:embed",
        "Choose the source frames that carry the identity.", _STAGES),
    Entry("finetune", "stage_commands:finetune",
        "Fit the generator to the source; generators without weights need none of it.", _STAGES),
    Entry("composite", "reenact:composite",
        "Write the video again from crops that are made already, with other output options.",
        _STAGES),
    Entry("prepare", "prepare:prepare_command",
        "Make a dataset of a folder tree of videos: crops of faces, landmarks and one table.",
        _TRAINING),
    Entry("metatrain", "metatrain:metatrain",
        "Meta-train the networks of a generator on a dataset of many people.", _TRAINING),
    Entry("evaluate", "evaluate:evaluate",
        "Judge methods side by side: held-out frames of people, drawn from a few others of "
        "theirs.", _TRAINING),
    Entry("doctor", "doctor:doctor",
        "Check this machine: packages, device, ffmpeg, tracker, weights, space.", _CARE),
    Entry("workspace", "workspace:app", "See, check and clean what is kept for reuse.", _CARE),
    Entry("weights", "weights:app", "See, check, fetch and export weights.", _CARE),
)  # fmt: skip


class _LoadedWhenRun(TyperGroup):
    """A group whose commands stand in its list as entries and are loaded one by one."""

    # The context's and the command's types are private to Typer.
    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        entries = {entry.name: entry for entry in ENTRIES}
        return name, _command(entries[name]) if name in entries else command, rest


def _command(entry: Entry) -> Any:
    found = entry.load()
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False)
    alone.command(entry.name)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="thvideo",
    cls=_LoadedWhenRun,
    help="Talking-head videos: move the face in a picture as a driver video moves.",
    epilog="First steps: thvideo doctor, then thvideo reenact --source face.jpg "
    "--driver driver.mp4 -o out.mp4",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(invoke_without_command=True)
def thvideo(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Talking-head videos: move the face in a picture as a driver video moves."""
    if version:
        say(f"thvideo {_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        show_help(context)
        raise typer.Exit


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("thvideo")
    except metadata.PackageNotFoundError:
        return "(not installed: run from a folder)"


def _listed() -> None:
    """Stand for a command in the list; the command itself is what runs."""


for _entry in ENTRIES:
    app.command(_entry.name, help=_entry.summary, rich_help_panel=_entry.panel)(_listed)
