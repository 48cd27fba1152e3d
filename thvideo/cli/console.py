"""Lines to stdout and stderr: never wrapped, never styled unless a terminal reads them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from thvideo.errors import WorkspaceError, reason_of

if TYPE_CHECKING:
    from typer import Context


class OutputClosedError(Exception):
    """Whoever read the output has gone, as ``head`` does."""


class _Checked:
    """A standard stream whose failures have a name, whichever library writes to it.

    Args:
        stream: Where to.
        is_needed: Whether a failure is told. Of standard error there is nobody to tell.
    """

    def __init__(self, stream: TextIO, *, is_needed: bool) -> None:
        self._stream, self._is_needed = stream, is_needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as the stream does."""
        with self._named():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush as the stream does."""
        with self._named():
            self._stream.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            silence(self._stream)
            raise OutputClosedError from error
        except OSError as error:
            silence(self._stream)
            if self._is_needed:
                raise WorkspaceError(
                    f"what is printed cannot be written ({reason_of(error)})",
                    hint="print to another place; what is made is kept",
                ) from error


@contextmanager
def checked_streams() -> Iterator[None]:
    """Name the failures of standard output and standard error inside the block.

    A closed one leads nowhere: its number would be given to the next file that is opened. A
    character that a terminal's encoding lacks becomes an escape.
    """
    _open_closed_streams()
    before = sys.stdout, sys.stderr
    for stream in before:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, _Checked(before[0], is_needed=True))
    sys.stderr = cast(TextIO, _Checked(before[1], is_needed=False))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _open_closed_streams() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the closed one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def silence(stream: TextIO) -> None:
    """Point a stream that failed elsewhere, so that the flush at exit does not fail again."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


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
    """Write one line to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show_help(context: "Context") -> None:
    """Print a command's help, as its ``--help`` does."""
    # With rich the help is printed on the way and what is returned is empty.
    text = context.get_help()
    if text:
        say(text)


def tell(label: str, text: str, style: str) -> None:
    """Write ``label: text`` as one line to stderr, the label coloured on a terminal."""
    line = one_line(text)
    if not is_terminal(sys.stderr):
        sys.stderr.write(f"{label}: {line}\n")
        sys.stderr.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((f"{label}: ", style), line))
