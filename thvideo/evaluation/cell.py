"""What one method made of one take, kept on the disk: whole or not at all, and made once.

OUT/cells/ROW/TAKE.WHAT.npz   arrays, and the key of all that they depend on
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thvideo.errors import WorkspaceError, reason_of
from thvideo.training.dataset import ARRAY_DAMAGE
from thvideo.workspace.durable import write_whole_bytes

Arrays = Mapping[str, NDArray[Any]]


class Cell:
    """Arrays of one method and one take.

    Args:
        folder: Where evaluations keep theirs.
        row: The method and its number of source frames, a name for a folder.
        take: The take's name; it may hold a folder level.
    """

    def __init__(self, folder: Path, row: str, take: str) -> None:
        self._stem = folder / row / take
        self.made: list[str] = []

    def arrays(self, what: str, key: str, make: Callable[[], Arrays]) -> Arrays:
        """Return arrays of this key: kept ones, else newly made ones that are then kept.

        Args:
            what: Which arrays, a name for a file.
            key: Changes with all that they depend on; older ones of another key are replaced.
            make: Makes them.

        Raises:
            WorkspaceError: The disk refuses.
        """
        path = self._stem.with_name(f"{self._stem.name}.{what}.npz")
        kept = _read(path, key)
        if kept is not None:
            return kept
        made = make()
        self.made.append(what)
        _write(path, key, made)
        return made


def _read(path: Path, key: str) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["key"]) != key:
                return None
            return {name: data[name] for name in data.files if name != "key"}
    except ARRAY_DAMAGE:
        # Missing, or damaged: made anew.
        return None


def _write(path: Path, key: str, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    named: dict[str, Any] = {**arrays, "key": np.array(key)}
    np.savez_compressed(buffer, **named)
    write_result(path, buffer.getvalue())


def write_result(path: Path, content: bytes) -> None:
    """Write a file of an evaluation, whole or not at all.

    Raises:
        WorkspaceError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_bytes(path, content)
    except OSError as error:
        raise WorkspaceError(
            f"{path} cannot be written ({reason_of(error)})",
            hint="make place for it, or give another folder with -o: what is made is kept",
        ) from error
