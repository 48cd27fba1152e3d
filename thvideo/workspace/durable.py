"""Files that are on the disk whole or not at all, and disk failures put into words."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thvideo.errors import WorkspaceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def fsync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk, where the system can do that."""
    if os.name != "nt":
        fsync_file(path)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that its name never shows a half of it.

    Raises:
        OSError: The disk refuses; a file that was there before is untouched.
    """
    write_whole_bytes(path, text.encode())


def write_whole_bytes(path: Path, content: bytes) -> None:
    """Write a file so that its name never shows a half of it.

    Raises:
        OSError: The disk refuses; a file that was there before is untouched.
    """
    beside = path.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or what a tool said in it, means that the disk is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    said = str(error).lower()
    return "no space left on device" in said or "disk quota exceeded" in said


def disk_full(place: Path) -> WorkspaceError:
    """Return the error that says that the disk of a folder is full."""
    return WorkspaceError(
        f"no space is left on the disk of {place}",
        hint="free some space or pass --workspace DIR, then run again: what is made is kept",
    )


@contextmanager
def disk_errors_explained(place: Path) -> Iterator[None]:
    """Turn the disk failures of a block into errors for the person.

    Raises:
        WorkspaceError: The disk is full, read-only, or the folder refuses the person.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(place) from error
        if error.errno in _REFUSED:
            raise WorkspaceError(
                f"{place} cannot be written ({error.strerror})",
                hint="pass --workspace DIR with a folder you may write to",
            ) from error
        raise
