"""The errors a person can meet, and the exit code of each."""

import errno
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


#: How libraries say that memory ran out, where their error has no class of its own for it.
_NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "insufficient memory",
    "failed to allocate",
    "bad_alloc",
    "bad allocation",
    "status_alloc_failed",
    "allocation_failed",
    # The loader says it of a library that is too large for what is left.
    "failed to map segment",
    # A thread's stack is memory too.
    "can't start new thread",
)
#: The system refuses: a full or broken disk, no rights, too many open files.
_REFUSED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
    | {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}
)


#: Names that no file can have, or that lead round in a circle.
_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of a library means that memory ran out, on whichever device."""
    if isinstance(error, ThvideoError):
        return False
    # PyTorch names its own so; it is not imported here.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    is_spoken = isinstance(error, RuntimeError | ImportError | OSError)
    said = str(error).lower() if is_spoken or type(error).__module__ == "cv2" else ""
    return any(words in said for words in _NO_MEMORY)


def of_the_machine(error: BaseException) -> "ThvideoError | None":
    """Return what to tell the person of a failure that is the machine's and no fault of ours."""
    if is_out_of_memory(error):
        return no_memory()
    if isinstance(error, OSError) and error.errno in _NO_NAME:
        fact = f"{error.filename} cannot be used ({reason_of(error)})"
        return UsageError(fact, hint="give another name")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        what = error.filename or "a file that is needed"
        return WorkspaceError(f"{what} cannot be used ({reason_of(error)})")
    return None


def no_memory() -> "DeviceError":
    """Return the error that says that memory ran out."""
    return DeviceError(
        "there is not enough memory",
        hint="end other programs, or run again with --batch-size 1 --threads 1",
    )


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
