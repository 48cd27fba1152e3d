"""Delivery: copy a finished file to the person's place, so that it is there whole or not at all."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from thvideo.errors import InputError, WorkspaceError
from thvideo.workspace.durable import fsync_file, fsync_folder, is_disk_full
from thvideo.workspace.keys import DigestMemo
from thvideo.workspace.manifest import Payload
from thvideo.workspace.store import Artifact

_BESIDE = ".thvideo-part"


def deliver(artifact: Artifact, output: Path, digests: DigestMemo) -> bool:
    """Copy the file that an artifact's facts name to the output.

    The old output stays as it is until the new one is on the disk.

    Args:
        artifact: Its facts name the ``file``.
        output: Where to put it; of a symbolic link, the place it points to.
        digests: Remembers the output's digest.

    Returns:
        Whether it was copied; False when the same bytes lay there already.

    Raises:
        WorkspaceError: The place cannot be written or is full; the artifact stays.
    """
    name = str(artifact.manifest.facts["file"])
    source, wanted = artifact.file(name), artifact.manifest.payload[name]
    try:
        place = output.resolve()
        _remove_leftovers(place)
        if _holds(place, wanted, digests):
            return False
        free_bytes = shutil.disk_usage(place.parent).free
        if free_bytes < wanted.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _copy(source, place)
    except OSError as error:
        raise _undelivered(error, output, wanted.size) from error
    return True


def _holds(place: Path, wanted: Payload, digests: DigestMemo) -> bool:
    if not place.is_file() or place.stat().st_size != wanted.size:
        return False
    try:
        return digests.digest(place) == wanted.sha256
    except InputError:
        return False  # it cannot be read, but it can be replaced


def _copy(source: Path, place: Path) -> None:
    beside = place.with_name(f".{place.name}.{os.getpid()}{_BESIDE}")
    try:
        shutil.copyfile(source, beside)
        fsync_file(beside)
        beside.replace(place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(place.parent)


def _remove_leftovers(place: Path) -> None:
    """Remove what killed runs left beside the output, but not what a living one writes."""
    for leftover in place.parent.glob(f".{_escaped(place.name)}.*{_BESIDE}"):
        process = leftover.name.removesuffix(_BESIDE).rpartition(".")[2]
        if process.isdigit() and not _is_alive(int(process)):
            with suppress(OSError):
                leftover.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        return True  # a signal of 0 ends a process there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _undelivered(error: OSError, output: Path, size: int) -> WorkspaceError:
    if is_disk_full(error):
        return WorkspaceError(
            f"there is no space for {output} ({size / 1e6:.1f} MB)",
            hint="free some space there or pass another -o: the video is made, "
            "and the next run only copies it",
        )
    return WorkspaceError(
        f"{output} cannot be written ({error.strerror})",
        hint="pass another -o: the video is made, and the next run only copies it",
    )
