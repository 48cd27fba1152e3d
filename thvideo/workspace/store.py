"""The workspace: artifacts by key, one lock per key, published whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from thvideo.errors import WorkspaceError
from thvideo.workspace.chunks import Chunks
from thvideo.workspace.durable import disk_errors_explained, fsync_file, fsync_folder, write_whole
from thvideo.workspace.health import MANIFEST, Depth, read_checked
from thvideo.workspace.keys import DigestMemo, file_digest
from thvideo.workspace.manifest import Manifest, Payload

# The signature is fixed by https://bford.info/cachedir/: backups leave such folders out.
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# A workspace of thvideo. All of it can be made again.\n"
)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact.

    Args:
        key: What it was made of, as a digest.
        stage: Name of the stage that made it.
        path: Its folder.
        manifest: What is known about it.
    """

    key: str
    stage: str
    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            WorkspaceError: It has no such file.
        """
        if name not in self.manifest.payload:
            raise WorkspaceError(
                f"the {self.stage} artifact {self.key[:12]} has no file {name!r}",
                hint=f"run again with --force {self.stage}",
            )
        return self.path / name


@dataclass(frozen=True)
class Look:
    """What a look-up found: an artifact, or damage in words, or neither."""

    artifact: Artifact | None = None
    damage: str = ""


class Build:
    """An artifact in the making; its lock is held.

    Args:
        workspace: Where it is made.
        stage: The stage that makes it.
        key: Its key.
        existing: The artifact, if another run published it while this one waited.
    """

    def __init__(
        self, workspace: "Workspace", stage: str, key: str, existing: Artifact | None
    ) -> None:
        self._workspace = workspace
        self._stage = stage
        self._key = key
        self.existing = existing
        self.chunks = Chunks(workspace.partial_folder(key))

    def publish(self, manifest: Manifest) -> Artifact:
        """Checksum and flush every file, write the manifest, and move all into place.

        Args:
            manifest: Everything but the payload, which is filled here.

        Raises:
            WorkspaceError: The disk is full or refuses.
            ValueError: The manifest is another artifact's.
        """
        if (manifest.stage, manifest.key) != (self._stage, self._key):
            raise ValueError(f"the manifest is of {manifest.stage} {manifest.key}")
        with disk_errors_explained(self._workspace.root):
            return self._publish(manifest)

    def _publish(self, manifest: Manifest) -> Artifact:
        folder = self.chunks.folder
        self.chunks.remove_unfinished()
        (folder / MANIFEST).unlink(missing_ok=True)
        payload = {}
        for path in _files(folder):
            fsync_file(path)
            name = path.relative_to(folder).as_posix()
            payload[name] = Payload(size=path.stat().st_size, sha256=file_digest(path))
        # The order of names is part of what "the same bytes" means.
        manifest = Manifest.from_json(Manifest(**(vars(manifest) | {"payload": payload})).to_json())
        write_whole(folder / MANIFEST, manifest.to_json())
        place = self._workspace.artifact_folder(self._stage, self._key)
        place.parent.mkdir(parents=True, exist_ok=True)
        replaced = self._workspace.partial_folder(f"{self._key}.replaced-{uuid.uuid4().hex[:8]}")
        if place.exists():
            place.rename(replaced)
        folder.rename(place)
        fsync_folder(place.parent)
        shutil.rmtree(replaced, ignore_errors=True)
        return Artifact(self._key, self._stage, place, manifest)


class Workspace:
    """A folder of artifacts that any number of processes may use at once.

    Args:
        root: Made if it is absent.

    Raises:
        WorkspaceError: The folder cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.digests = DigestMemo(self.root)
        self._held: set[str] = set()
        self._notices: list[str] = []
        try:
            for name in ("artifacts", "partial", "locks", "runs"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
                if not (self.root / name).exists():
                    write_whole(self.root / name, text)
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be made ({error.strerror})",
                hint="free some space or pass --workspace DIR with a folder you may write to",
            ) from error
        if not os.access(self.root / "partial", os.W_OK | os.X_OK):
            raise WorkspaceError(
                f"the workspace {self.root} cannot be written",
                hint="pass --workspace DIR with a folder you may write to",
            )

    def artifact_folder(self, stage: str, key: str) -> Path:
        """Return where a finished artifact lies."""
        return self.root / "artifacts" / stage / key

    def partial_folder(self, key: str) -> Path:
        """Return where an artifact is made; it stays after a kill."""
        return self.root / "partial" / key

    def look(self, stage: str, key: str, depth: Depth = "quick") -> Look:
        """Look an artifact up and check it, changing nothing.

        Args:
            stage: The stage that makes it.
            key: Its key.
            depth: "quick" checks all sizes and the checksums of small files, "full" all of them.
        """
        folder = self.artifact_folder(stage, key)
        manifest, damage = read_checked(folder, stage, key, depth)
        if manifest is None:
            return Look(damage=damage)
        return Look(Artifact(key, stage, folder, manifest))

    def find(self, stage: str, key: str) -> Artifact | None:
        """Return a whole artifact; a damaged one is set aside, and a notice tells of it."""
        seen = self.look(stage, key)
        if seen.damage:
            with self.locked(key):
                seen = self.look(stage, key)
                if seen.damage:
                    self._set_aside(stage, key, seen.damage)
        return seen.artifact

    def set_aside(self, stage: str, key: str, damage: str) -> None:
        """Move a damaged artifact out of the way and note why."""
        with self.locked(key):
            self._set_aside(stage, key, damage)

    def _set_aside(self, stage: str, key: str, damage: str) -> None:
        aside = self.root / "damaged" / f"{stage}-{key[:12]}-{uuid.uuid4().hex[:8]}"
        with disk_errors_explained(self.root):
            aside.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self.artifact_folder(stage, key).rename(aside)
        self._notices.append(
            f"the {stage} artifact {key[:12]} is damaged ({damage}); it is set aside in {aside}"
        )

    def take_notices(self) -> list[str]:
        """Return what was noted since the last call, oldest first."""
        notices, self._notices = self._notices, []
        return notices

    @contextmanager
    def building(self, stage: str, key: str, *, anew: bool = False) -> Iterator[Build]:
        """Take the lock of a key and yield the artifact in the making.

        Blocks while another process makes the same artifact, and looks again afterwards. What
        is in the folder stays there when the block fails or the process is killed.

        Args:
            stage: The stage that makes it.
            key: Its key.
            anew: Make it even if it exists, from nothing.

        Raises:
            WorkspaceError: The disk is full or refuses.
        """
        with self.locked(key):
            existing = None if anew else self.find(stage, key)
            with disk_errors_explained(self.root):
                if anew:
                    shutil.rmtree(self.partial_folder(key), ignore_errors=True)
                build = Build(self, stage, key, existing)
            if existing is not None:
                shutil.rmtree(self.partial_folder(key), ignore_errors=True)
            yield build

    def n_chunks_left(self, key: str) -> int:
        """Return how many finished files an interrupted run left for an artifact."""
        folder = self.partial_folder(key)
        if not folder.is_dir():
            return 0
        return sum(1 for path in folder.iterdir() if not path.name.startswith(".tmp-"))

    @contextmanager
    def locked(self, key: str, timeout_s: float = -1) -> Iterator[None]:
        """Hold the lock of a key; again inside itself is allowed.

        Args:
            key: Whose lock.
            timeout_s: How long to wait; negative waits for ever.

        Raises:
            filelock.Timeout: Another process held it all that time.
        """
        from filelock import FileLock

        if key in self._held:
            yield
            return
        with disk_errors_explained(self.root):
            lock = FileLock(self.root / "locks" / f"{key}.lock")
            lock.acquire(timeout=timeout_s)
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)
            lock.release()

    def is_locked(self, key: str) -> bool:
        """Tell whether another process holds the lock of a key now."""
        from filelock import Timeout

        try:
            with self.locked(key, timeout_s=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def using(self, keys: Iterable[str]) -> Iterator[None]:
        """Keep artifacts from being removed as garbage while this process needs them."""
        from filelock import FileLock

        name = uuid.uuid4().hex
        list_path = self.root / "runs" / f"{name}.keys"
        with disk_errors_explained(self.root):
            lock = FileLock(self.root / "runs" / f"{name}.lock")
            with self.locked("workspace"):
                lock.acquire()
                write_whole(list_path, "\n".join(sorted(set(keys))) + "\n")
        try:
            yield
        finally:
            list_path.unlink(missing_ok=True)
            lock.release()
            (self.root / "runs" / f"{name}.lock").unlink(missing_ok=True)

    def keys_in_use(self) -> frozenset[str]:
        """Return the keys that living runs need; what dead runs left is removed."""
        from filelock import FileLock, Timeout

        keys: set[str] = set()
        for list_path in sorted((self.root / "runs").glob("*.keys")):
            lock = FileLock(list_path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                with contextlib.suppress(FileNotFoundError):
                    keys |= set(list_path.read_text(encoding="utf-8").split())
            else:
                list_path.unlink(missing_ok=True)
                lock.release()
                list_path.with_suffix(".lock").unlink(missing_ok=True)
        return frozenset(keys)

    def manifests(self, stage: str | None = None) -> Iterator[Manifest]:
        """Yield the readable manifests of all artifacts, or of one stage's, in order of key."""
        for folder in sorted((self.root / "artifacts").glob(f"{stage or '*'}/*")):
            with contextlib.suppress(OSError, ValueError):
                yield Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))

    def mark_used(self, artifact: Artifact) -> None:
        """Note that an artifact was of use now, for the collection of garbage by age."""
        with contextlib.suppress(OSError):
            os.utime(artifact.path / MANIFEST)


def utc_now() -> str:
    """Return the present time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
