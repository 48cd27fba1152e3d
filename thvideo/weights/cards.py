"""Where the shipped weights lie, and whether they are whole. Reads cards, loads no tensors."""

import hashlib
import json
from pathlib import Path
from typing import Any

from thvideo.errors import InputError

_FOLDER = Path(__file__).resolve().parent
_CHUNK_BYTES = 1 << 20


def shipped_weight(name: str) -> Path:
    """The file of a shipped weight.

    Args:
        name: file name without its ending, such as `tracker_landmarks`.

    Raises:
        InputError: there is no such file in this installation.
    """
    path = _FOLDER / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in _FOLDER.glob("*.safetensors"))) or "none"
        raise InputError(
            f"the weights {name!r} are not in {_FOLDER} (there: {known})",
            hint="install the package again, or train them: see the card beside the weights",
        )
    return path


def card(name: str) -> dict[str, Any]:
    """The card of a shipped weight: how it was made, from what, for what use, and its digest.

    Raises:
        InputError: the weight has no card.
    """
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing", hint="install the package again")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def verify(name: str) -> Path:
    """Check a shipped weight against its card.

    Returns:
        The weight's file.

    Raises:
        InputError: the file differs from the one that the card describes.
    """
    path = shipped_weight(name)
    found, wanted = sha256_of(path), str(card(name)["sha256"])
    if found != wanted:
        raise InputError(
            f"{path} is damaged: SHA-256 {found[:12]}..., its card says {wanted[:12]}...",
            hint="install the package again",
        )
    return path
