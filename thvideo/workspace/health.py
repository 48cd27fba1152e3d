"""Whether the files of an artifact are those that were published: nothing unchecked is used."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from thvideo.errors import WorkspaceError
from thvideo.workspace.durable import open_regular
from thvideo.workspace.keys import READ_BYTES, FileSignature, signature_of
from thvideo.workspace.manifest import Manifest, Payload

MANIFEST = "artifact.json"
# Far more than the longest curve of a fine-tuning takes.
_MANIFEST_BYTES = 64 << 20
# What is hashed at each look-up, so that a plan says early what is damaged; little enough for a
# cached re-run to stay under a second. The rest is hashed when it is used.
_HASHED_FILE_BYTES = 4 << 20
_HASHED_TOTAL_BYTES = 64 << 20

Depth = Literal["quick", "full"]


class DamagedError(WorkspaceError):
    """A file is not the one that was written.

    Args:
        stage: Of the artifact; empty of a part of one, which is put away already.
        key: Of the artifact.
        reason: What is wrong, in words.
    """

    def __init__(self, stage: str, key: str, reason: str) -> None:
        super().__init__(
            f"the {stage or 'unfinished'} artifact {key[:12]} is damaged ({reason})",
            hint="thvideo workspace verify --set-aside, then run again: it is made anew",
        )
        self.stage, self.key, self.reason = stage, key, reason


class Checks:
    """Compares files of a folder with what they must be, once as long as they do not change.

    Args:
        folder: Where they lie.
        stage: Of the artifact, for its error.
        key: Of the artifact, for its error.
    """

    def __init__(self, folder: Path, stage: str = "", key: str = "") -> None:
        self._folder, self._stage, self._key = folder, stage, key or folder.name
        self._seen: dict[str, tuple[FileSignature, str]] = {}

    def check(self, name: str, wanted: Payload, *, is_hashed: bool = True) -> None:
        """Compare a file with what it must be.

        Args:
            name: Its plain name.
            wanted: Its size and digest.
            is_hashed: Whether its bytes are read; else its kind and size alone are looked at.

        Raises:
            DamagedError: It is not so.
        """
        path = self._folder / name
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise self._damaged(f"{name} is no regular file")
            if status.st_size != wanted.size:
                raise self._damaged(f"{name} has {status.st_size} bytes instead of {wanted.size}")
            if is_hashed and self._sha256(path) != wanted.sha256:
                raise self._damaged(f"{name} has other bytes than were written")
        except FileNotFoundError:
            raise self._damaged(f"{name} is missing") from None
        except OSError as error:
            raise self._damaged(f"{name} cannot be read ({error.strerror})") from error

    def reading(self, name: str, wanted: Payload) -> Iterator[bytes]:
        """Yield a file's bytes; at the end they are known to be those that were written.

        Raises:
            DamagedError: They are not.
        """
        digest = hashlib.sha256()
        try:
            with open_regular(self._folder / name) as file:
                for block in _blocks(file):
                    digest.update(block)
                    yield block
        except OSError as error:
            raise self._damaged(f"{name} cannot be read ({error.strerror})") from error
        if digest.hexdigest() != wanted.sha256:
            raise self._damaged(f"{name} has other bytes than were written")

    def payload_of(self, path: Path) -> Payload:
        """Return what a file in the folder consists of."""
        sha256 = self._sha256(path)
        return Payload(size=path.stat().st_size, sha256=sha256)

    def moved(self, old: str, new: str) -> None:
        """Note that a file has got another name."""
        self._seen[new] = self._seen.pop(old)

    def moved_to(self, folder: Path) -> "Checks":
        """Note that the folder has got another place, which is an artifact's."""
        moved = Checks(folder, folder.parent.name, folder.name)
        moved._seen = self._seen
        return moved

    def _sha256(self, path: Path) -> str:
        with open_regular(path) as file:
            signature = signature_of(os.fstat(file.fileno()))
            seen, known = self._seen.get(path.name, (None, ""))
            if seen == signature:
                return known
            digest = hashlib.sha256()
            for block in _blocks(file):
                digest.update(block)
        self._seen[path.name] = signature, digest.hexdigest()
        return digest.hexdigest()

    def _damaged(self, reason: str) -> DamagedError:
        return DamagedError(self._stage, self._key, reason)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block


def read_checked(
    folder: Path, stage: str, key: str, depth: Depth = "quick"
) -> tuple[Manifest | None, Checks, str]:
    """Read an artifact's manifest and check its files against it.

    Args:
        folder: Where the artifact should lie.
        stage: The stage that should have made it.
        key: The key it should have.
        depth: "quick" checks all sizes and the checksums of small files, "full" all of them.

    Returns:
        The manifest if all is well, else None; what remembers the checks; and the damage in
        words, empty if there is none or no artifact at all.
    """
    checks = Checks(folder, stage, key)
    try:
        manifest = read_manifest(folder)
        if (manifest.stage, manifest.key) != (stage, key):
            raise ValueError("belongs to another artifact")
        _check_payload(manifest, checks, depth)
    except FileNotFoundError:
        return None, checks, f"{MANIFEST} is missing" if os.path.lexists(folder) else ""
    except OSError as error:
        return None, checks, f"{MANIFEST} cannot be read ({error.strerror})"
    except ValueError as error:
        return None, checks, f"{MANIFEST} {error}"
    except DamagedError as damage:
        return None, checks, damage.reason
    return manifest, checks, ""


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in an artifact's folder.

    Raises:
        OSError: It is missing, no file of its own, or cannot be read.
        ValueError: It is not as it was written; the text goes on after its name.
    """
    with open_regular(folder / MANIFEST) as file:
        if os.fstat(file.fileno()).st_size > _MANIFEST_BYTES:
            raise ValueError("is far too long")
        return Manifest.from_json(file.read())


def _check_payload(manifest: Manifest, checks: Checks, depth: Depth) -> None:
    hashed_bytes = 0
    for name, wanted in sorted(manifest.payload.items(), key=lambda item: (item[1].size, item[0])):
        hashed_bytes += wanted.size
        is_small = wanted.size <= _HASHED_FILE_BYTES and hashed_bytes <= _HASHED_TOTAL_BYTES
        checks.check(name, wanted, is_hashed=depth == "full" or is_small)
