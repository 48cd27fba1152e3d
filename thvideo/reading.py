"""What people and files say in text, read so that nothing in it is a surprise."""

import errno
import json
import re
from pathlib import Path
from typing import Any, TextIO

from thvideo.errors import UsageError


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of ``~``.

    Raises:
        UsageError: There is no such home folder, or no path is written so.
    """
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is no path: a character of it is NUL")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        whose = Path(path).parts[0].removeprefix("~")
        raise UsageError(
            f"there is no home folder of {whose or 'yours'}, which {path} begins with",
            hint=f"write ./{path} if that is its name",
        ) from error


def open_table(path: Path) -> TextIO:
    """Open a table for the csv module.

    Raises:
        OSError: It cannot be read, or is a device or a pipe, which may never end.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.open(encoding="utf-8-sig", newline="")


def whole_number(text: str) -> int | None:
    """Return a number from 0 on; None where a text is none, or is one of more than nine digits."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def json_of(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: It is none, or nested deeper than anything that is meant.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
