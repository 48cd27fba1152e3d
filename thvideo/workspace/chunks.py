"""The folder of an artifact in the making: every file in it under its final name is whole."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thvideo.workspace.durable import (
    create_private,
    fsync_file,
    fsync_folder,
    open_regular,
    open_to_others,
)
from thvideo.workspace.health import Checks, DamagedError
from thvideo.workspace.manifest import Payload, is_plain_name

_UNFINISHED = ".tmp-"
#: Size, digest and name of every file that is done, a line each, the last line of a name counts.
JOURNAL = ".chunks"


def _removed(path: Path, damage: str) -> None:
    path.unlink()


class Chunks:
    """Publishes files one by one, so that a killed run loses at most the one being written.

    What each must consist of is noted before it gets its name, so that damage is found when an
    interrupted run goes on; what is damaged, or of no known making, is put away.

    Args:
        folder: Made if it is absent; unfinished files that a killed run left are removed.
        put_away: Is given a damaged file, and what is wrong with it.
    """

    def __init__(self, folder: Path, put_away: Callable[[Path, str], None] = _removed) -> None:
        self._folder, self._put_away = folder, put_away
        folder.mkdir(parents=True, exist_ok=True)
        self.remove_unfinished()
        self._done = self._noted()
        self.checks = Checks(folder)
        for name in {entry.name for entry in folder.iterdir()} - {JOURNAL, *self._done}:
            put_away(folder / name, "nothing tells what it must consist of")
        for name in sorted(self._done):
            with contextlib.suppress(DamagedError):
                self._check(name)

    @property
    def folder(self) -> Path:
        """The folder that becomes the artifact."""
        return self._folder

    def path(self, name: str) -> Path:
        """Return where a file lies once it is done; if it is, its bytes are those written.

        Raises:
            ValueError: The name is not one plain file name.
            DamagedError: They are others; the file is put away, and the next run makes it again.
        """
        place = self._place(name)
        if name in self._done:
            self._check(name)
        return place

    def is_done(self, name: str) -> bool:
        """Tell whether a file is there, and so is whole."""
        self._place(name)
        return name in self._done

    def names(self) -> tuple[str, ...]:
        """Return the names of all files that are done, sorted."""
        return tuple(sorted(self._done))

    def payload(self) -> dict[str, Payload]:
        """Return what every finished file consists of, by name.

        Raises:
            DamagedError: One has changed since; it is put away.
        """
        for name in self.names():
            self._check(name)
        return {name: self._done[name] for name in self.names()}

    def keep_only(self, name: str) -> None:
        """Remove every finished file but one: the parts from which the artifact was made."""
        for other in self.names():
            if other != name:
                del self._done[other]
                self._place(other).unlink(missing_ok=True)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path to write to; the file gets its name when the block succeeds.

        Args:
            name: The final name; the temporary one ends in the same suffix.

        Raises:
            FileNotFoundError: The block ended without writing anything.
        """
        final = self._place(name)
        beside = self._folder / f"{_UNFINISHED}{os.urandom(8).hex()}-{name}"
        try:
            create_private(beside).close()
            yield beside
            if beside.stat().st_size == 0:
                raise FileNotFoundError(f"nothing was written for {name}")
            fsync_file(beside)
            open_to_others(beside)
            made = self.checks.payload_of(beside)
            self._note(name, made)
            beside.replace(final)
            self.checks.moved(beside.name, name)
            self._done[name] = made
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync_folder(self._folder)

    def remove_unfinished(self) -> None:
        """Remove what a killed run was writing."""
        for leftover in sorted(self._folder.glob(f"{_UNFINISHED}*")):
            leftover.unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        if not is_plain_name(name):
            raise ValueError(f"{name!r} is not a plain file name")
        return self._folder / name

    def _check(self, name: str) -> None:
        try:
            self.checks.check(name, self._done[name])
        except DamagedError as damage:
            del self._done[name]
            with contextlib.suppress(FileNotFoundError):
                self._put_away(self._folder / name, damage.reason)
            raise

    def _note(self, name: str, made: Payload) -> None:
        # Appended, so that a run that dies meanwhile spoils no line but its own.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._folder / JOURNAL, flags, 0o666)
        try:
            os.write(descriptor, f"\n{made.size} {made.sha256} {name}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _noted(self) -> dict[str, Payload]:
        """Read what was noted of the files that are there; without it they are made again."""
        journal = self._folder / JOURNAL
        try:
            with open_regular(journal) as file:
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return {}
        except OSError:
            self._put_away(journal, "it cannot be read")
            return {}
        noted = {}
        for line in text.splitlines():
            size, _, rest = line.partition(" ")
            sha256, _, name = rest.partition(" ")
            is_there = is_plain_name(name) and os.path.lexists(self._folder / name)
            if size.isdecimal() and is_there:
                noted[name] = Payload(int(size), sha256)
        return noted


def n_finished(folder: Path) -> int:
    """Return how many finished files an interrupted run left in a folder."""
    try:
        return sum(
            is_plain_name(entry.name) and stat.S_ISREG(entry.lstat().st_mode)
            for entry in folder.iterdir()
        )
    except OSError:
        return 0
