"""The workspace: artifacts by key, one lock per key, published whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from thvideo.errors import WorkspaceError
from thvideo.reading import expanded
from thvideo.workspace.chunks import JOURNAL, Chunks, n_finished
from thvideo.workspace.durable import (
    disk_errors_explained,
    fsync_folder,
    is_disk_full,
    refuses,
    remove,
    write_whole,
)
from thvideo.workspace.facts import of_kind
from thvideo.workspace.health import (
    MANIFEST,
    Checks,
    DamagedError,
    Depth,
    read_checked,
    read_manifest,
)
from thvideo.workspace.keys import DigestMemo
from thvideo.workspace.locks import Locks
from thvideo.workspace.manifest import Manifest, Payload

T = TypeVar("T")

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
        checks: Remembers which of its files are known to be whole.
    """

    key: str
    stage: str
    path: Path
    manifest: Manifest
    checks: Checks = field(compare=False, repr=False)

    def fact(self, name: str, kind: type[T]) -> T:
        """Return something that the stage found out.

        Args:
            name: What it is called.
            kind: What it is, as ``of_kind`` takes it.

        Raises:
            DamagedError: It is missing or of another kind.
        """
        if name not in self.manifest.facts:
            raise self.damaged(f"{MANIFEST} tells nothing of {name!r}")
        try:
            return of_kind(self.manifest.facts[name], kind)
        except ValueError:
            raise self.damaged(f"{MANIFEST} tells {name!r} wrongly") from None

    def damaged(self, reason: str) -> DamagedError:
        """Return the error that says what is wrong with it; whoever catches it makes it again."""
        return DamagedError(self.stage, self.key, reason)

    def file(self, name: str) -> Path:
        """Return the path of one of its files, whose bytes are those that were written.

        Raises:
            WorkspaceError: It has no such file.
            DamagedError: Its bytes are others.
        """
        self.checks.check(name, self.payload(name))
        return self.path / name

    def reading(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of one of its files; at the end they are known to be right.

        Raises:
            WorkspaceError: It has no such file.
            DamagedError: Its bytes are others.
        """
        return self.checks.reading(name, self.payload(name))

    def payload(self, name: str) -> Payload:
        """Return what one of its files must consist of.

        Raises:
            WorkspaceError: It has no such file.
        """
        if name not in self.manifest.payload:
            raise WorkspaceError(
                f"the {self.stage} artifact {self.key[:12]} has no file {name!r}",
                hint=f"run again with --force {self.stage}",
            )
        return self.manifest.payload[name]


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
        self.chunks = Chunks(workspace.partial_folder(key), workspace.put_part_away)

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
        folder, payload = self.chunks.folder, self.chunks.payload()
        for path in folder.iterdir():
            if path.name not in {JOURNAL, *payload}:
                remove(path)
        # The order of names is part of what "the same bytes" means.
        text = Manifest(**(vars(manifest) | {"payload": payload})).to_json()
        write_whole(folder / MANIFEST, text)
        place = self._workspace.artifact_folder(self._stage, self._key)
        place.parent.mkdir(parents=True, exist_ok=True)
        replaced = self._workspace.partial_folder(f"{self._key}.replaced-{uuid.uuid4().hex[:8]}")
        if place.exists():
            place.rename(replaced)
        folder.rename(place)
        fsync_folder(place.parent)
        # Not before: a run that dies in between would know nothing of its chunks.
        (place / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(replaced, ignore_errors=True)
        manifest, checks = Manifest.from_json(text.encode()), self.chunks.checks.moved_to(place)
        return Artifact(self._key, self._stage, place, manifest, checks)


class Workspace:
    """A folder of artifacts that any number of processes may use at once.

    Args:
        root: Made if it is absent.

    Raises:
        WorkspaceError: The folder cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = expanded(root).absolute()
        self.digests = DigestMemo(self.root)
        self._notices: list[str] = []
        try:
            for name in ("artifacts", "partial", "locks", "runs"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
                if not (self.root / name).exists():
                    write_whole(self.root / name, text)
        except OSError as error:
            if not (refuses(error) and (self.root / "artifacts").is_dir()):
                raise _not_made(self.root, error) from error
        #: Whether what is there can be used, but nothing made.
        self.is_read_only = not os.access(self.root / "partial", os.W_OK | os.X_OK)
        self.locks = Locks(self.root, is_read_only=self.is_read_only)

    def check_writable(self) -> None:
        """Make sure that something can be made.

        Raises:
            WorkspaceError: It cannot.
        """
        if self.is_read_only:
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
        manifest, checks, damage = read_checked(folder, stage, key, depth)
        if manifest is None:
            return Look(damage=damage)
        return Look(Artifact(key, stage, folder, manifest, checks))

    def find(self, stage: str, key: str) -> Artifact | None:
        """Return a whole artifact; a damaged one is set aside, and a notice tells of it."""
        seen = self.look(stage, key)
        if seen.damage:
            with self.locks.held(key):
                seen = self.look(stage, key)
                if seen.damage:
                    self._set_aside(stage, key, seen.damage)
        return seen.artifact

    def set_aside(self, stage: str, key: str, damage: str) -> None:
        """Move a damaged artifact out of the way and note why."""
        with self.locks.held(key):
            self._set_aside(stage, key, damage)

    def _set_aside(self, stage: str, key: str, damage: str) -> None:
        aside = self._place_aside(f"{stage}-{key[:12]}")
        with disk_errors_explained(self.root), contextlib.suppress(FileNotFoundError):
            self.artifact_folder(stage, key).rename(aside)
        self._notices.append(
            f"the {stage} artifact {key[:12]} is damaged ({damage}); it is set aside in {aside}"
        )

    def put_part_away(self, path: Path, damage: str) -> None:
        """Move a damaged part of an unfinished artifact out of the way and note why."""
        aside = self._place_aside(f"part-{path.parent.name[:12]}")
        with disk_errors_explained(self.root):
            aside.mkdir()
            path.rename(aside / path.name)
        self._notices.append(
            f"{path.name} of an interrupted run is damaged ({damage}); it is set aside in {aside}"
        )

    def _place_aside(self, name: str) -> Path:
        with disk_errors_explained(self.root):
            (self.root / "damaged").mkdir(parents=True, exist_ok=True)
        return self.root / "damaged" / f"{name}-{uuid.uuid4().hex[:8]}"

    def take_notices(self) -> list[str]:
        """Return what was noted since the last call, oldest first."""
        notices, self._notices = self._notices, []
        return notices

    @contextmanager
    def building(
        self,
        stage: str,
        key: str,
        *,
        anew: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Iterator[Build]:
        """Take the lock of a key and yield the artifact in the making.

        Blocks while another process makes the same artifact, and looks again afterwards. What
        is in the folder stays there when the block fails or the process is killed.

        Args:
            stage: The stage that makes it.
            key: Its key.
            anew: Make it even if it exists, from nothing.
            meanwhile: Called now and then while it waits; what it raises ends that.

        Raises:
            WorkspaceError: The disk is full or refuses.
        """
        self.check_writable()
        with self.locks.held(key, meanwhile=meanwhile):
            existing = None if anew else self.find(stage, key)
            with disk_errors_explained(self.root):
                partial = self.partial_folder(key)
                if anew:
                    remove(partial)
                elif os.path.lexists(partial) and (partial.is_symlink() or not partial.is_dir()):
                    self.put_part_away(partial, "it is no folder")
                build = Build(self, stage, key, existing)
            if existing is not None:
                shutil.rmtree(self.partial_folder(key), ignore_errors=True)
            yield build

    def n_chunks_left(self, key: str) -> int:
        """Return how many finished files an interrupted run left for an artifact."""
        return n_finished(self.partial_folder(key))

    def manifests(self, stage: str | None = None) -> Iterator[Manifest]:
        """Yield the readable manifests of all artifacts, or of one stage's, in order of key."""
        for folder in sorted((self.root / "artifacts").glob(f"{stage or '*'}/*")):
            with contextlib.suppress(OSError, ValueError):
                yield read_manifest(folder)

    def mark_used(self, artifact: Artifact) -> None:
        """Note that an artifact was of use now, for the collection of garbage by age."""
        with contextlib.suppress(OSError):
            os.utime(artifact.path / MANIFEST)


def utc_now() -> str:
    """Return the present time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _not_made(root: Path, error: OSError) -> WorkspaceError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        place = Path(error.filename)
        lying = (path for path in (place, *place.parents) if os.path.lexists(path))
        return WorkspaceError(
            f"the workspace {root} cannot be made: {next(lying, place)} is no folder",
            hint="pass --workspace DIR with another folder",
        )
    hint = "pass --workspace DIR with a folder you may write to"
    if is_disk_full(error):
        hint = "free some space, or pass --workspace DIR on another disk"
    return WorkspaceError(f"the workspace {root} cannot be made ({error.strerror})", hint=hint)
