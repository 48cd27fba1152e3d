"""One lock per key, and which keys living runs need."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thvideo.errors import WorkspaceError
from thvideo.workspace.durable import (
    disk_errors_explained,
    open_regular,
    remove,
    remove_dead_parts,
    write_whole,
)

#: Held by whoever begins a run or removes something, so that neither meets the other.
ALL = "workspace"
#: How often whoever waits for a lock looks whether it still wants it.
_LOOK_EVERY_S = 0.05


def _nothing() -> None:
    """Do nothing meanwhile."""


class Locks:
    """The locks of a workspace.

    A run notes the keys that it will lock while it holds the lock ``ALL``: whoever holds that one
    may remove the locks of all other keys.

    Args:
        root: The workspace; ``locks`` and ``runs`` in it are there.
        is_read_only: Whether it cannot be written: then no run can be noted, and none removes.
    """

    def __init__(self, root: Path, *, is_read_only: bool = False) -> None:
        self._root, self._is_read_only = root, is_read_only
        self._held: set[str] = set()

    @contextmanager
    def held(
        self, key: str, *, timeout_s: float = -1, meanwhile: Callable[[], None] = _nothing
    ) -> Iterator[None]:
        """Hold the lock of a key; again inside itself is allowed.

        Args:
            key: Whose lock.
            timeout_s: How long to wait; negative waits for ever.
            meanwhile: Called now and then while it waits; what it raises ends that.

        Raises:
            filelock.Timeout: Another process held it all that time.
            WorkspaceError: The disk refuses, or something else lies where the lock should.
        """
        if key in self._held:
            yield
            return
        release = _acquired(self._path(key), timeout_s, meanwhile)
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)
            release()

    def is_held_elsewhere(self, key: str) -> bool:
        """Tell whether another process holds the lock of a key now."""
        from filelock import Timeout

        try:
            with self.held(key, timeout_s=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def using(self, keys: Iterable[str]) -> Iterator[None]:
        """Keep artifacts from being removed while this process needs them; clean up before."""
        if self._is_read_only:
            yield
            return
        name = uuid.uuid4().hex
        own_list, own_lock = (self._root / "runs" / f"{name}{end}" for end in (".keys", ".lock"))
        with self.held(ALL):
            self.clean()
            release = _acquired(own_lock, 0)
            with disk_errors_explained(self._root):
                write_whole(own_list, "\n".join(sorted(set(keys))) + "\n")
        try:
            yield
        finally:
            own_list.unlink(missing_ok=True)
            release()
            own_lock.unlink(missing_ok=True)

    def keys_in_use(self) -> frozenset[str]:
        """Return the keys that living runs need."""
        keys: set[str] = set()
        for path in self._lists():
            if self._is_read_only or not _is_free(path.with_suffix(".lock")):
                with contextlib.suppress(OSError), open_regular(path) as file:
                    keys |= set(file.read().decode("utf-8", "replace").split())
        return frozenset(keys)

    def clean(self) -> None:
        """Remove what dead runs left: their lists, their locks, and what they were writing.

        The lock ``ALL`` has to be held.
        """
        for path in self._lists():
            if _is_free(path.with_suffix(".lock")):
                remove(path)
                path.with_suffix(".lock").unlink(missing_ok=True)
        needed = self.keys_in_use() | {ALL}
        for path in sorted((self._root / "locks").glob("*.lock")):
            if path.stem not in needed and _is_free(path):
                path.unlink(missing_ok=True)
        for folder in (self._root, self._root / "runs", self._root / "digests"):
            remove_dead_parts(folder)

    def _lists(self) -> list[Path]:
        """Return the lists of keys of runs, also of those that died before they wrote theirs."""
        folder = self._root / "runs"
        names = {path.stem for end in ("keys", "lock") for path in folder.glob(f"*.{end}")}
        return [folder / f"{name}.keys" for name in sorted(names)]

    def _path(self, key: str) -> Path:
        return self._root / "locks" / f"{key}.lock"


def _acquired(
    path: Path, timeout_s: float, meanwhile: Callable[[], None] = _nothing
) -> Callable[[], None]:
    """Take a lock and return what gives it back."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    until_s = time.monotonic() + timeout_s
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if timeout_s >= 0 and time.monotonic() >= until_s:
                raise
        except OSError as error:
            if path.is_symlink() or path.is_dir():
                raise WorkspaceError(
                    f"{path} is a {'link' if path.is_symlink() else 'folder'} and no lock",
                    hint="remove it, or pass --workspace DIR with another folder",
                ) from error
            with disk_errors_explained(path.parent.parent):
                raise
        else:
            return lock.release
        meanwhile()
        time.sleep(_LOOK_EVERY_S)


def _is_free(path: Path) -> bool:
    """Tell whether nobody holds a lock; one that is none is told of by whoever wants it."""
    from filelock import Timeout

    try:
        _acquired(path, 0)()
    except (Timeout, WorkspaceError):
        return False
    return True
