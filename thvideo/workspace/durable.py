"""Files that are on the disk whole or not at all, and disk failures put into words."""

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from thvideo.errors import WorkspaceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Neither follows a link nor waits for whoever writes to a pipe; what a system lacks is left out.
_READ_NO_LINK = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _READ_NO_LINK |= getattr(os, _flag, 0)
# There is no way to ask for it without setting it: done once, before there are threads.
_UMASK = os.umask(0o077)
os.umask(_UMASK)
#: What the names of unfinished files begin with.
_PART = ".thvideo-"


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


def part_path(folder: Path, suffix: str = ".part") -> Path:
    """Return a name for an unfinished file that nobody can guess and that tells whose it is."""
    return folder / f"{_PART}{os.getpid()}-{secrets.token_hex(12)}{suffix}"


def create_private(path: Path) -> BinaryIO:
    """Open a new file that only its owner may read; never through a link that lies there.

    Raises:
        FileExistsError: Something of that name is there.
    """
    return open(path, "xb", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def open_to_others(path: Path) -> None:
    """Give a finished file the rights that the umask leaves to new files."""
    path.chmod(0o666 & ~_UMASK)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading if it is one: no link, folder, pipe or device.

    Raises:
        OSError: It is none of its own, or cannot be read.
    """
    descriptor = os.open(path, _READ_NO_LINK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(descriptor, "rb", buffering=0)  # noqa: PTH123  a descriptor, not a path


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes a path's place, whole, when the block succeeds.

    Meanwhile it lies beside it, under a random name, for nobody else to read.

    Raises:
        OSError: The disk refuses; a file that was there before is untouched.
    """
    beside = part_path(path.parent)
    try:
        with create_private(beside) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        open_to_others(beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


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
    with replacing(path) as file:
        file.write(content)


def remove_dead_parts(folder: Path) -> None:
    """Remove what killed processes were writing in a folder, but not what a living one writes."""
    for part in folder.glob(f"{_PART}*"):
        process = part.name.removeprefix(_PART).partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            with suppress(OSError):
                remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, and of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """Make a folder for unfinished files that is gone after the block, or with the next one made.

    Raises:
        OSError: The place refuses.
    """
    remove_dead_parts(place)
    with tempfile.TemporaryDirectory(prefix=f"{_PART}{os.getpid()}-", dir=place) as name:
        yield Path(name)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        return True  # a signal of 0 ends a process there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or what a tool said in it, means that the disk is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    said = str(error).lower()
    return "no space left on device" in said or "disk quota exceeded" in said


def refuses(error: OSError) -> bool:
    """Tell whether an error means that the person may not write there."""
    return error.errno in _REFUSED


def disk_full(place: Path, error: BaseException) -> WorkspaceError:
    """Return the error that says what is full where: a disk, a quota, or a file that grows.

    Args:
        place: The folder that was written to, unless the error names another file.
        error: What the system, or a tool, said.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and error.filename and not lies_in(error.filename, place):
        place = Path(os.fsdecode(error.filename)).parent
    if number == errno.EFBIG:
        return WorkspaceError(
            f"a file in {place} grows larger than is allowed",
            hint="allow larger files (ulimit -f), then run again: what is made is kept",
        )
    what = "the quota is used up on" if number == errno.EDQUOT else "no space is left on"
    return WorkspaceError(
        f"{what} the disk of {place}",
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
            raise disk_full(place, error) from error
        if refuses(error):
            raise WorkspaceError(
                f"{place} cannot be written ({error.strerror})",
                hint="pass --workspace DIR with a folder you may write to",
            ) from error
        if lies_in(error.filename, place):
            raise WorkspaceError(
                f"{error.filename} cannot be used ({error.strerror})",
                hint="remove or mend it, then run again",
            ) from error
        raise


def lies_in(file_name: object, folder: Path) -> bool:
    """Tell whether the file that an error names lies in a folder."""
    if not isinstance(file_name, str | Path):
        return False
    return Path(file_name).absolute().is_relative_to(folder.absolute())
