"""Delivery: copy a finished file to the person's place, so that it is there whole or not at all."""

import errno
import os
import shutil
from pathlib import Path

from thvideo.errors import InputError, WorkspaceError
from thvideo.workspace.durable import is_disk_full, remove_dead_parts, replacing
from thvideo.workspace.keys import DigestMemo
from thvideo.workspace.manifest import Payload
from thvideo.workspace.store import Artifact


def deliver(artifact: Artifact, output: Path, digests: DigestMemo) -> bool:
    """Copy the file that an artifact's facts name to the output, checking it on the way.

    The old output stays as it is until the new one is on the disk.

    Args:
        artifact: Its facts name the ``file``.
        output: Where to put it; of a symbolic link, the place it points to.
        digests: Remembers the output's digest.

    Returns:
        Whether it was copied; False when the same bytes lay there already.

    Raises:
        WorkspaceError: The place cannot be written or is full; the artifact stays.
        DamagedError: The file is not the one that was made; the output is untouched.
    """
    name = artifact.fact("file", str)
    wanted = artifact.payload(name)
    try:
        place = Path(os.path.realpath(output))
        remove_dead_parts(place.parent)
        if _holds(place, wanted, digests):
            return False
        free_bytes = shutil.disk_usage(place.parent).free
        if free_bytes < wanted.size:
            raise _no_space(output, wanted.size, free_bytes)
        with replacing(place) as file:
            for block in artifact.reading(name):
                file.write(block)
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


def _undelivered(error: OSError, output: Path, size: int) -> WorkspaceError:
    if is_disk_full(error) and error.errno != errno.EFBIG:
        return _no_space(output, size, None)
    return WorkspaceError(
        f"{output} cannot be written ({error.strerror})",
        hint="pass another -o: the video is made, and the next run only copies it",
    )


def _no_space(output: Path, size: int, free_bytes: int | None) -> WorkspaceError:
    free = "" if free_bytes is None else f", and {free_bytes:,} are free"
    return WorkspaceError(
        f"there is no space for {output}: it takes {size:,} bytes{free}",
        hint="free some space there or pass another -o: the video is made, "
        "and the next run only copies it",
    )
