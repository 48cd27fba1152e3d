"""The errors a person can meet, and the exit code of each."""

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    STAGE = 1
    USAGE = 2
    INPUT = 3
    WORKSPACE = 4
    DEVICE = 5
    BUG = 70
    INTERRUPT = 130


class ThvideoError(Exception):
    """A failure that is explained to the person in one line and a hint.

    Args:
        fact: What is wrong, with the value, the file and the frame where there are any.
        hint: What to do about it, best as a command; empty if there is nothing to say.
    """

    exit_code = ExitCode.STAGE

    def __init__(self, fact: str, *, hint: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint


def reason_of(error: BaseException) -> str:
    """Say why something failed, without error numbers and paths: the fact names the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is missing"
    # The safetensors library wraps the system's words in its own.
    said = re.sub(r" \(os error \d+\)| at path .*", "", str(error).partition("\n")[0])
    return said.rpartition("I/O error: ")[2] or type(error).__name__


class StageError(ThvideoError):
    """A stage could not do its work although its input was right."""


class UsageError(ThvideoError):
    """The options contradict each other or name something unknown."""

    exit_code = ExitCode.USAGE


class InputError(ThvideoError):
    """A file the person gave cannot be used."""

    exit_code = ExitCode.INPUT


class WorkspaceError(ThvideoError):
    """The workspace or the output place cannot be read or written."""

    exit_code = ExitCode.WORKSPACE


class DeviceError(ThvideoError):
    """The device is missing or ran out of memory."""

    exit_code = ExitCode.DEVICE
