"""The one place that turns what went wrong into a line, a hint and an exit code."""

import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from thvideo.cli.console import OutputClosedError, checked_streams, tell
from thvideo.cli.stop import STOPPED, Terminated, stopping_at_once
from thvideo.errors import ExitCode, ThvideoError, of_the_machine

if TYPE_CHECKING:
    from typer import TyperException

_SIGPIPE_EXIT = 141
# The parser's library speaks to programmers.
_PLAIN_WORDS = (
    (r"Input should be a valid integer.*", "it must be a whole number"),
    (r"Input should be a valid number.*", "it must be a number"),
    (r"Value error, ", ""),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: What follows the program's name; the process's own when None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with checked_streams(), stopping_at_once():
        try:
            return _guarded(given)
        except OutputClosedError:
            return _SIGPIPE_EXIT


def _guarded(given: list[str]) -> int:
    try:
        return _run(given)
    except KeyboardInterrupt:
        tell("stopped", STOPPED, "bold yellow")
        return int(ExitCode.INTERRUPT)
    except Terminated as stop:
        tell("stopped", STOPPED, "bold yellow")
        return stop.exit_code
    except OutputClosedError:
        raise
    except Exception as error:
        known = error if isinstance(error, ThvideoError) else of_the_machine(error)
        if known is None:
            return _report_bug(error, given)
        _explain(known.fact, known.hint or _usual_hint(known, given))
        if _wants_traceback(given):
            traceback.print_exc()
        return int(known.exit_code)


def _run(given: list[str]) -> int:
    from typer import TyperException

    from thvideo.cli.app import app

    try:
        result = app(given, prog_name="thvideo", standalone_mode=False)
    except TyperException as error:
        _explain(*_usage_error(error, given))
        return int(ExitCode.USAGE)
    if result == ExitCode.INTERRUPT:  # Typer catches the interrupt and returns its code
        raise KeyboardInterrupt
    return int(result or ExitCode.OK)


def _usage_error(error: "TyperException", given: Sequence[str]) -> tuple[str, str]:
    """Split a parser's message into the fact and what to do about it."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", None) or _command_of(given)
    fact, _, guess = error.format_message().partition(" Did you mean ")
    near = getattr(error, "possibilities", None)
    if near:
        fact, guess = getattr(error, "message", fact), f"{near[0]}?"
    for wordy, plain in _PLAIN_WORDS:
        fact = re.sub(wordy, plain, fact)
    fact = fact.strip().rstrip(".")
    hint = f"did you mean {guess}" if guess else f"{command} --help"
    return fact[:1].lower() + fact[1:], hint


def _usual_hint(error: ThvideoError, given: Sequence[str]) -> str:
    """Return what helps with an error that brings no hint of its own."""
    if error.exit_code == ExitCode.USAGE:
        return f"{_command_of(given)} --help"
    if error.exit_code == ExitCode.INPUT:
        return "try another file, or --verbose for more"
    return "thvideo doctor checks this machine; --verbose shows more"


def _command_of(given: Sequence[str]) -> str:
    words = [word for word in given[:1] if not word.startswith("-")]
    return " ".join(["thvideo", *words])


def _explain(fact: str, hint: str) -> None:
    tell("error", fact, "bold red")
    if hint:
        tell("hint", hint, "bold cyan")


def _wants_traceback(given: Sequence[str]) -> bool:
    # Read here and not from the parsed options, because parsing itself may have failed.
    return "--verbose" in given or os.environ.get("THVIDEO_DEBUG", "") not in ("", "0")


def _report_bug(error: Exception, given: Sequence[str]) -> int:
    """Say in a line what happened and keep the traceback in a file."""
    text = "".join(traceback.format_exception(error))
    where = "THVIDEO_DEBUG=1 shows the traceback"
    with suppress(OSError):
        # Made anew, under a name that nobody can guess, and for the person alone.
        prefix = f"thvideo-bug-{time.strftime('%Y%m%d-%H%M%S')}-"
        handle, name = tempfile.mkstemp(".txt", prefix)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"thvideo {' '.join(given)}\n\n{text}")
        where = f"the traceback is in {name}"
    if _wants_traceback(given):
        sys.stderr.write(text)
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    _explain(f"a fault in thvideo: {summary}", f"{where}; please report it")
    return int(ExitCode.BUG)
