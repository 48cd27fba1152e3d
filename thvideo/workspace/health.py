"""Whether the files of an artifact are those that were published."""

from pathlib import Path
from typing import Literal

from thvideo.workspace.keys import file_digest
from thvideo.workspace.manifest import Manifest

MANIFEST = "artifact.json"
# What is hashed at each look-up: enough to notice damage in all small files, little enough for
# a cached re-run to stay under a second. ``verify`` hashes everything.
_HASHED_FILE_BYTES = 4 << 20
_HASHED_TOTAL_BYTES = 64 << 20

Depth = Literal["quick", "full"]


def read_checked(
    folder: Path, stage: str, key: str, depth: Depth = "quick"
) -> tuple[Manifest | None, str]:
    """Read an artifact's manifest and check its files against it.

    Args:
        folder: Where the artifact should lie.
        stage: The stage that should have made it.
        key: The key it should have.
        depth: "quick" checks all sizes and the checksums of small files, "full" all of them.

    Returns:
        The manifest if all is well, else None; and the damage in words, empty if there is
        none or no artifact at all.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None, f"{MANIFEST} is missing" if folder.is_dir() else ""
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{MANIFEST} cannot be read ({error})"
    try:
        manifest = Manifest.from_json(text)
    except ValueError:
        return None, f"{MANIFEST} is not readable as a manifest"
    if (manifest.stage, manifest.key) != (stage, key):
        return None, f"{MANIFEST} belongs to another artifact"
    damage = _payload_damage(folder, manifest, depth)
    return (None if damage else manifest), damage


def _payload_damage(folder: Path, manifest: Manifest, depth: Depth) -> str:
    hashed_bytes = 0
    for name, wanted in sorted(manifest.payload.items(), key=lambda item: (item[1].size, item[0])):
        path = folder / name
        try:
            size = path.stat().st_size
            if size != wanted.size:
                return f"{name} has {size} bytes instead of {wanted.size}"
            hashed_bytes += size
            is_small = size <= _HASHED_FILE_BYTES and hashed_bytes <= _HASHED_TOTAL_BYTES
            if (depth == "full" or is_small) and file_digest(path) != wanted.sha256:
                return f"{name} has other bytes than were written"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return ""
