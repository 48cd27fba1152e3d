"""The ``thvideo`` command: what can be typed."""

from typing import Annotated

import typer

from thvideo.cli import (
    doctor,
    evaluate,
    metatrain,
    prepare,
    reenact,
    stage_commands,
    weights,
    workspace,
)
from thvideo.cli.console import say
from thvideo.cli.options import show_help

app = typer.Typer(
    name="thvideo",
    help="Talking-head videos: move the face in a picture as a driver video moves.",
    epilog="First steps: thvideo doctor, then thvideo reenact --source face.jpg "
    "--driver driver.mp4 -o out.mp4",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
_STAGES = "One stage alone"
_TRAINING = "Training"
_CARE = "Care"


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


app.command("reenact")(reenact.reenact)
app.command("plan")(reenact.plan)
app.command("extract", rich_help_panel=_STAGES)(stage_commands.extract)
app.command("track", rich_help_panel=_STAGES)(stage_commands.track)
app.command("embed", rich_help_panel=_STAGES)(stage_commands.embed)
app.command("finetune", rich_help_panel=_STAGES)(stage_commands.finetune)
app.command("composite", rich_help_panel=_STAGES)(reenact.composite)
app.command("prepare", rich_help_panel=_TRAINING)(prepare.prepare_command)
app.command("metatrain", rich_help_panel=_TRAINING)(metatrain.metatrain)
app.command("evaluate", rich_help_panel=_TRAINING)(evaluate.evaluate)
app.add_typer(workspace.app, name="workspace", rich_help_panel=_CARE)
app.add_typer(weights.app, name="weights", rich_help_panel=_CARE)
app.command("doctor", rich_help_panel=_CARE)(doctor.doctor)
