"""What lies in a workspace, what of it is damaged, and what can go."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from thvideo.errors import WorkspaceError
from thvideo.workspace.durable import disk_errors_explained
from thvideo.workspace.health import MANIFEST
from thvideo.workspace.locks import ALL
from thvideo.workspace.manifest import Manifest
from thvideo.workspace.store import Workspace

_DAY_S = 86400.0


@dataclass(frozen=True)
class Entry:
    """One artifact as a person wants to see it.

    Args:
        stage: Name of the stage that made it.
        key: Its key.
        size_bytes: Bytes of its payload.
        age_s: Seconds since it was made.
        unused_s: Seconds since it was last of use.
        made_from: Names of the person's files that went into it or into what it was made from.
        manifest: All that is known about it.
        path: Its folder.
    """

    stage: str
    key: str
    size_bytes: int
    age_s: float
    unused_s: float
    made_from: tuple[str, ...]
    manifest: Manifest
    path: Path


@dataclass(frozen=True)
class Damage:
    """A damaged artifact, and what is wrong with it."""

    stage: str
    key: str
    reason: str


@dataclass(frozen=True)
class Usage:
    """Bytes in a workspace."""

    artifacts_bytes: int
    partial_bytes: int
    damaged_bytes: int
    by_stage_bytes: dict[str, int]

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.artifacts_bytes + self.partial_bytes + self.damaged_bytes


@dataclass(frozen=True)
class Garbage:
    """One folder that can go, and why."""

    path: Path
    key: str
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class Rule:
    """Which artifacts go; partial leftovers and damaged ones always do.

    Args:
        older_than_days: Those that were not of use for so long.
        keep_bytes: Those longest out of use, until the rest fits into so many bytes.
        everything: All that no living run needs.
    """

    older_than_days: float | None = None
    keep_bytes: int | None = None
    everything: bool = False


def entries(workspace: Workspace) -> list[Entry]:
    """Return all artifacts, the one used last first."""
    manifests = {manifest.key: manifest for manifest in workspace.manifests()}
    now_s = time.time()
    found = []
    for manifest in manifests.values():
        folder = workspace.artifact_folder(manifest.stage, manifest.key)
        with contextlib.suppress(FileNotFoundError):
            used_s = (folder / MANIFEST).stat().st_mtime
            made_s = _seconds(manifest.made_at, used_s)
            found.append(
                Entry(
                    manifest.stage,
                    manifest.key,
                    manifest.size_bytes,
                    max(0.0, now_s - made_s),
                    max(0.0, now_s - used_s),
                    _file_names(manifest, manifests),
                    manifest,
                    folder,
                )
            )
    return sorted(found, key=lambda entry: (entry.unused_s, entry.stage, entry.key))


def show(workspace: Workspace, prefix: str) -> Entry:
    """Return the one artifact whose key begins with a prefix.

    Raises:
        WorkspaceError: No key, or more than one, begins so.
    """
    fits = [entry for entry in entries(workspace) if prefix and entry.key.startswith(prefix)]
    if not fits:
        raise WorkspaceError(
            f"no artifact in {workspace.root} has a key that begins with {prefix!r}",
            hint="thvideo workspace ls shows all keys",
        )
    if len(fits) > 1:
        names = ", ".join(f"{entry.key[:12]} ({entry.stage})" for entry in fits[:4])
        raise WorkspaceError(
            f"{len(fits)} keys begin with {prefix!r}: {names}", hint="give more of the key"
        )
    return fits[0]


def verify(workspace: Workspace) -> list[Damage]:
    """Hash every byte of every artifact and return those that are damaged, changing nothing."""
    damaged = []
    for folder in sorted((workspace.root / "artifacts").glob("*/*")):
        stage, key = folder.parent.name, folder.name
        seen = workspace.look(stage, key, depth="full")
        if seen.damage:
            # A run or a collection may have moved it meanwhile; what is damaged stays so.
            seen = workspace.look(stage, key, depth="full")
        if seen.damage:
            damaged.append(Damage(stage, key, seen.damage))
    return damaged


def set_aside(workspace: Workspace, damaged: Iterable[Damage]) -> None:
    """Move damaged artifacts out of the way, so that the next run makes them again."""
    from filelock import Timeout

    workspace.check_writable()
    with workspace.locks.held(ALL):
        for damage in damaged:
            # Whoever holds its lock makes it again already.
            with contextlib.suppress(Timeout), workspace.locks.held(damage.key, timeout_s=0):
                workspace.set_aside(damage.stage, damage.key, damage.reason)


def usage(workspace: Workspace) -> Usage:
    """Return how many bytes the workspace holds."""
    by_stage = {
        folder.name: _folder_bytes(folder)
        for folder in sorted((workspace.root / "artifacts").glob("*"))
    }
    return Usage(
        sum(by_stage.values()),
        _folder_bytes(workspace.root / "partial"),
        _folder_bytes(workspace.root / "damaged"),
        by_stage,
    )


def garbage(workspace: Workspace, rule: Rule) -> list[Garbage]:
    """Return what a collection would remove, changing nothing.

    Nothing that a living run needs, and no artifact from which a kept one was made.
    """
    in_use = workspace.locks.keys_in_use()
    found = []
    for folder in sorted((workspace.root / "partial").glob("*")):
        key = folder.name.partition(".")[0]
        if key not in in_use:
            found.append(Garbage(folder, key, _folder_bytes(folder), "left by an interrupted run"))
    found += [
        Garbage(folder, "", _folder_bytes(folder), "damaged")
        for folder in sorted((workspace.root / "damaged").glob("*"))
    ]
    listed = entries(workspace)
    readable = {entry.path for entry in listed}
    found += [
        Garbage(folder, folder.name, _folder_bytes(folder), "damaged")
        for folder in sorted((workspace.root / "artifacts").glob("*/*"))
        if folder not in readable
    ]
    reasons = going(listed, rule, in_use)
    found += [
        Garbage(entry.path, entry.key, _folder_bytes(entry.path), reasons[entry.key])
        for entry in listed
        if entry.key in reasons
    ]
    return found


def collect(workspace: Workspace, rule: Rule, *, dry_run: bool = False) -> list[Garbage]:
    """Remove garbage and return what was removed, or would be.

    Args:
        workspace: Where.
        rule: Which artifacts go.
        dry_run: Remove nothing.

    Raises:
        WorkspaceError: The workspace cannot be written.
    """
    from filelock import Timeout

    if dry_run:
        return garbage(workspace, rule)
    workspace.check_writable()
    removed = []
    # New runs wait here, so that none comes to need what is about to go.
    with workspace.locks.held(ALL), disk_errors_explained(workspace.root):
        workspace.locks.clean()
        for item in garbage(workspace, rule):
            try:
                with workspace.locks.held(item.key or item.path.name, timeout_s=0):
                    _remove(item.path, workspace)
            except Timeout:
                continue
            removed.append(item)
    return removed


def _remove(folder: Path, workspace: Workspace) -> None:
    # One rename first: an artifact is there whole or not at all, also while it is removed.
    doomed = workspace.partial_folder(f"{folder.name}.removed-{time.time_ns():x}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def going(listed: list[Entry], rule: Rule, in_use: frozenset[str]) -> dict[str, str]:
    """Decide which artifacts go.

    Args:
        listed: All artifacts.
        rule: What the person wants.
        in_use: Keys that living runs need; they and what they were made from stay.

    Returns:
        The keys of those that go, and why.
    """
    by_key = {entry.key: entry for entry in listed}
    if rule.everything:
        kept = _with_all_made_from(in_use, by_key)
        return {key: "all are to go" for key in by_key if key not in kept}
    gone: dict[str, str] = {}
    if rule.older_than_days is not None:
        limit_s = rule.older_than_days * _DAY_S
        young = {entry.key for entry in listed if entry.unused_s <= limit_s}
        kept = _with_all_made_from(in_use | young, by_key)
        gone |= {
            key: f"not used for {entry.unused_s / _DAY_S:.1f} days"
            for key, entry in by_key.items()
            if key not in kept
        }
    if rule.keep_bytes is not None:
        gone |= _beyond(rule.keep_bytes, [e for e in listed if e.key not in gone], in_use)
    return gone


def _beyond(keep_bytes: int, listed: list[Entry], in_use: frozenset[str]) -> dict[str, str]:
    """Let the longest unused go first, but nothing before what was made from it."""
    left = {entry.key: entry for entry in listed}
    total = sum(entry.size_bytes for entry in listed)
    needed = _with_all_made_from(in_use, left)
    gone: dict[str, str] = {}
    while total > keep_bytes:
        parents = {key for entry in left.values() for key in entry.manifest.inputs.values()}
        free = [e for e in left.values() if e.key not in parents and e.key not in needed]
        if not free:
            break
        oldest = max(free, key=lambda entry: (entry.unused_s, entry.key))
        del left[oldest.key]
        total -= oldest.size_bytes
        gone[oldest.key] = "longest unused, beyond the size to keep"
    return gone


def _with_all_made_from(keys: Iterable[str], by_key: dict[str, Entry]) -> set[str]:
    reached: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in reached:
            reached.add(key)
            if key in by_key:
                waiting += by_key[key].manifest.inputs.values()
    return reached


def _file_names(manifest: Manifest, manifests: dict[str, Manifest]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    waiting, seen = [manifest], set()
    while waiting:
        current = waiting.pop()
        if current.key not in seen:
            seen.add(current.key)
            names |= dict.fromkeys(file.name for file in current.files.values())
            waiting += [manifests[key] for key in current.inputs.values() if key in manifests]
    return tuple(sorted(names))


def _seconds(iso_time: str, otherwise_s: float) -> float:
    try:
        return datetime.fromisoformat(iso_time).timestamp()
    except ValueError:
        return otherwise_s


def _folder_bytes(folder: Path) -> int:
    # A run may move what is counted: unlike a glob, a walk goes on without it.
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total
