"""Lines to stdout and stderr: never wrapped, never styled unless a terminal reads them."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typer import Context


class OutputClosedError(Exception):
    """Whoever read the output has gone, as ``head`` does."""


def prepare_streams() -> None:
    """Make a character that the terminal's encoding lacks an escape instead of a crash."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO) -> bool:
    """Say whether a person reads the stream as it is written, with colours and moving lines."""
    return hasattr(stream, "isatty") and stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """Colour a piece of a line for stdout, if a terminal shows it and colours are wanted.

    Args:
        text: The piece.
        colour: Numbers of an ANSI sequence, such as "1;31" for bold red.
    """
    if not is_terminal(sys.stdout) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def one_line(text: str) -> str:
    """Fold white space and show control characters escaped, so that a text stays one line."""
    # The bytes of a name that are no text come as surrogates.
    folded = " ".join(os.fsencode(text).decode("utf-8", "backslashreplace").split())
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in folded
    )


def say(text: str = "") -> None:
    """Write one line to stdout.

    Raises:
        OutputClosedError: The reader of a pipe has gone.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosedError from error


def show_help(context: "Context") -> None:
    """Print a command's help, as its ``--help`` does."""
    # With rich the help is printed on the way and what is returned is empty.
    text = context.get_help()
    if text:
        say(text)


def tell(label: str, text: str, style: str) -> None:
    """Write ``label: text`` as one line to stderr, the label coloured on a terminal.

    Raises:
        OutputClosedError: The reader of a pipe has gone.
    """
    line = one_line(text)
    if not is_terminal(sys.stderr):
        try:
            sys.stderr.write(f"{label}: {line}\n")
            sys.stderr.flush()
        except BrokenPipeError as error:
            raise OutputClosedError from error
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((f"{label}: ", style), line))
