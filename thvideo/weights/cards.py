"""Where weights lie, what their cards say, and whether they are whole. Loads no tensors.

A card is a JSON object: how weights were made, from what, for what use. It lies beside the file
and carries the file's SHA-256. Weights of a generator hold it inside as well, in the metadata
of their safetensors header under `thvideo`, there with the SHA-256 of all after the header, so
that a file that travels alone can still be understood and checked.
"""

import hashlib
from pathlib import Path
from typing import Any

from thvideo.errors import InputError, reason_of
from thvideo.reading import json_of

Card = dict[str, Any]

_FOLDER = Path(__file__).resolve().parent
_CHUNK_BYTES = 1 << 20
# The format allows no longer header.
_MOST_HEADER_BYTES = 100_000_000
_METADATA = "__metadata__"
_INSTALL = "install the package again"
_GET_AGAIN = "copy it again from where it is whole, or make it again with thvideo weights export"


def shipped_names() -> list[str]:
    """Names of the weights that ship with the package, sorted."""
    return sorted(found.stem for found in _FOLDER.glob("*.safetensors"))


def shipped_weight(name: str) -> Path:
    """The file of a shipped weight.

    Args:
        name: file name without its ending, such as `tracker_landmarks`.

    Raises:
        InputError: there is no such file in this installation.
    """
    path = _FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise InputError(
            f"the weights {name!r} are not in {_FOLDER} (there: {', '.join(shipped_names())})",
            hint="install the package again, or train them: see the card beside the weights",
        )
    return path


def card(name: str) -> Card:
    """The card beside a shipped weight: how it was made, from what, for what use, its digest.

    Raises:
        InputError: the weight has no card.
    """
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing", hint=_INSTALL)
    return _beside(path)


def read_card(path: Path) -> Card:
    """The card of a weights file: the one beside it, else the one inside it, else empty.

    Raises:
        InputError: the file is missing or damaged, or its card cannot be read.
    """
    inside = card_inside(path)
    beside = path.with_suffix(".json")
    if beside.is_file():
        return _beside(beside)
    return inside


def card_inside(path: Path) -> Card:
    """The card inside a weights file, which the file's own digest covers; empty if there is none.

    Raises:
        InputError: the file is missing or damaged, or its card cannot be read.
    """
    metadata = header_of(path).get(_METADATA)
    inside = metadata.get("thvideo") if isinstance(metadata, dict) else None
    return {} if inside is None else _parsed(inside, path)


def sha256_of(path: Path, start: int = 0) -> str:
    """SHA-256 of a file from a byte on, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_tensors(path: Path) -> str:
    """SHA-256 of all that follows the header of a safetensors file, in hex."""
    with path.open("rb") as file:
        return sha256_of(path, 8 + int.from_bytes(file.read(8), "little"))


def verify(name: str) -> Path:
    """Check a shipped weight against its card.

    Returns:
        The weight's file.

    Raises:
        InputError: the file differs from the one that the card describes.
    """
    path = shipped_weight(name)
    _compare(path, sha256_of(path), str(card(name)["sha256"]), _INSTALL)
    return path


def verify_file(path: Path) -> Card:
    """Check a weights file against its card.

    Returns:
        The card.

    Raises:
        InputError: the file is missing or damaged, is not the one that its card describes, or
            has no card.
    """
    found = read_card(path)
    hint = _INSTALL if path.parent == _FOLDER else _GET_AGAIN
    if "sha256" in found:
        _compare(path, sha256_of(path), str(found["sha256"]), hint)
    elif "sha256_tensors" in found:
        _compare(path, sha256_of_tensors(path), str(found["sha256_tensors"]), hint)
    else:
        raise InputError(
            f"{path} has no card to check it against",
            hint="thvideo weights export RUN -o FILE writes weights with their card",
        )
    return found


def _compare(path: Path, found: str, wanted: str, hint: str) -> None:
    if found != wanted:
        raise InputError(
            f"{path} is damaged: SHA-256 {found[:12]}..., its card says {wanted[:12]}...",
            hint=hint,
        )


def is_weights(path: Path) -> bool:
    """Tell whether a file is one of weights, whole or not."""
    try:
        _read_header(path)
    except (OSError, ValueError):
        return False
    return True


def is_card(path: Path) -> bool:
    """Tell whether a file is a card that lies beside weights."""
    try:
        return "sha256" in _beside(path)
    except InputError:
        return False


def header_of(path: Path) -> Card:
    """The header of a safetensors file that is as long as it says.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path.is_dir():
        hint = f"of a run make some: thvideo weights export {path} -o FILE"
        raise InputError(f"{path} is a folder, not a file of weights", hint=hint)
    if not path.is_file():
        raise InputError(f"there are no weights at {path}", hint="thvideo weights ls")
    try:
        header, start = _read_header(path)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != _METADATA]
        if not isinstance(header.get(_METADATA, {}), dict):
            raise ValueError("its metadata is none")
        n_bytes, wanted = path.stat().st_size, max(ends, default=0) + start
        if n_bytes != wanted:
            raise ValueError(f"it has {n_bytes} bytes, not {wanted}")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path} is not a safetensors file, or damaged ({reason_of(error)})", hint=_GET_AGAIN
        ) from error
    return header


def _read_header(path: Path) -> tuple[Card, int]:
    """The header, which is eight bytes of length, then JSON; and where it ends."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _MOST_HEADER_BYTES else b""
    if len(text) != length:
        raise ValueError("it ends in its header")
    header = json_of(text)
    if not isinstance(header, dict):
        raise ValueError("its header is none")
    return header, 8 + length


def _beside(path: Path) -> Card:
    """Read a card that is a file of its own."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"the card {path} cannot be read ({reason_of(error)})", hint=_GET_AGAIN
        ) from error
    return _parsed(text, path)


def _parsed(text: object, place: Path) -> Card:
    try:
        read = json_of(text) if isinstance(text, str) else None
    except ValueError as error:
        raise InputError(f"the card of {place} is damaged ({error})", hint=_GET_AGAIN) from error
    if not isinstance(read, dict):
        raise InputError(f"the card of {place} is damaged", hint=_GET_AGAIN)
    return read
