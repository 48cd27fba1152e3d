"""Keys of artifacts and digests of files: content only, never a path, never a time."""

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thvideo.errors import InputError
from thvideo.reading import json_of
from thvideo.workspace.durable import open_regular, write_whole

#: Read at once of a file that is hashed.
READ_BYTES = 1 << 20
# A file this small is read again each time: that costs less than to look its digest up.
_MEMO_FROM_BYTES = 1 << 20
# File systems keep times in steps of up to 2 s (FAT); a file changed more recently could change
# again without a new time, so that its digest is not remembered yet.
_SETTLED_NS = 2_000_000_000

# More than a memory takes.
_MEMORY_BYTES = 4096

FileSignature = tuple[int, int, int]


def canonical(value: Any) -> Any:
    """Return a JSON value in the one form that enters keys: 1.0 is 1, tuples are lists.

    Raises:
        TypeError: The value is not JSON, such as a path.
        ValueError: A number is not finite.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be part of a key")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("names in a key must be text")
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be part of a key")


def stage_key(
    name: str,
    version: int,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    files: Mapping[str, str],
) -> str:
    """Return the key of what a stage makes.

    Args:
        name: The stage.
        version: Raised whenever the stage's result changes.
        parameters: The stage's fields as JSON values.
        inputs: Keys of the input artifacts by role.
        files: Digests of the person's files by role.

    Returns:
        64 hexadecimal digits.
    """
    made_of = {
        "stage": name,
        "version": version,
        "parameters": canonical(parameters),
        "inputs": dict(inputs),
        "files": dict(files),
    }
    text = json.dumps(made_of, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def file_signature(path: Path) -> FileSignature:
    """Return what changes when a file is written: size, time of change in ns, inode."""
    return signature_of(path.stat())


def signature_of(status: os.stat_result) -> FileSignature:
    """Return the same from what the system says of a file."""
    return status.st_size, status.st_mtime_ns, status.st_ino


class DigestMemo:
    """Remembers the digests of large files, so that a cached re-run does not read them.

    The memory is a help and no more: it is never part of a key, and a file whose size, time or
    inode has changed is read again.

    Args:
        root: The workspace; the memory lies in its ``digests`` folder, one file an entry.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "digests"
        self._of_this_run: dict[Path, tuple[FileSignature, str]] = {}

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, read or remembered.

        Raises:
            InputError: The file cannot be read, or changes while it is read.
        """
        try:
            return self._digest(path)
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror})",
                hint="check the file name and its permissions",
            ) from error

    def _digest(self, path: Path) -> str:
        before = file_signature(path)
        size = before[0]
        entry = self._entry(path)
        if size >= _MEMO_FROM_BYTES:
            seen, digest = self._of_this_run.get(path, (None, ""))
            known = digest if seen == before else _remembered(entry, before)
            if known is not None:
                return known
        digest = file_digest(path)
        if file_signature(path) != before:
            raise InputError(
                f"{path} changed while it was read", hint="run again when it is complete"
            )
        self._of_this_run[path] = before, digest
        settled = time.time_ns() - before[1] > _SETTLED_NS
        if size >= _MEMO_FROM_BYTES and settled:
            # Without the memory the run is only slower: a full disk is reported elsewhere.
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                memory = {"signature": before, "sha256": digest, "seal": _seal(before, digest)}
                write_whole(entry, json.dumps(memory))
        return digest

    def _entry(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        return self._folder / f"{name}.json"


def _seal(signature: FileSignature, digest: object) -> str:
    """Return a digest of what is remembered, so that damage is not taken for another file."""
    return hashlib.sha256(json.dumps([signature, digest]).encode()).hexdigest()


def _remembered(entry: Path, signature: FileSignature) -> str | None:
    try:
        with open_regular(entry) as file:
            memory = json_of(file.read(_MEMORY_BYTES))
        digest = memory["sha256"]
        if memory["seal"] == _seal(signature, digest):
            return str(digest)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
