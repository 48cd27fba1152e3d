"""The folder of an artifact in the making: every file in it under its final name is whole."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thvideo.workspace.durable import fsync_file, fsync_folder

_UNFINISHED = ".tmp-"


class Chunks:
    """Publishes files one by one, so that a killed run loses at most the one being written.

    Args:
        folder: Made if it is absent; unfinished files that a killed run left are removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.remove_unfinished()

    @property
    def folder(self) -> Path:
        """The folder that becomes the artifact."""
        return self._folder

    def path(self, name: str) -> Path:
        """Return where a file lies once it is done.

        Raises:
            ValueError: The name is not one plain file name.
        """
        is_plain = name == Path(name).name and name not in ("", "..")
        if not is_plain or name.startswith(_UNFINISHED):
            raise ValueError(f"{name!r} is not a plain file name")
        return self._folder / name

    def is_done(self, name: str) -> bool:
        """Tell whether a file is there, and so is whole."""
        return self.path(name).is_file()

    def names(self) -> tuple[str, ...]:
        """Return the names of all files that are done, sorted."""
        return tuple(
            sorted(
                entry.name
                for entry in self._folder.iterdir()
                if entry.is_file() and not entry.name.startswith(_UNFINISHED)
            )
        )

    def keep_only(self, name: str) -> None:
        """Remove every finished file but one: the parts from which the artifact was made."""
        for other in self.names():
            if other != name:
                self.path(other).unlink(missing_ok=True)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path to write to; the file gets its name when the block succeeds.

        Args:
            name: The final name; the temporary one ends in the same suffix.

        Raises:
            FileNotFoundError: The block ended without writing the file.
        """
        final = self.path(name)
        beside = self._folder / f"{_UNFINISHED}{uuid.uuid4().hex[:12]}-{name}"
        try:
            yield beside
            fsync_file(beside)
            beside.replace(final)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync_folder(self._folder)

    def remove_unfinished(self) -> None:
        """Remove what a killed run was writing."""
        for leftover in sorted(self._folder.glob(f"{_UNFINISHED}*")):
            leftover.unlink(missing_ok=True)
