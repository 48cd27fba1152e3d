"""The manifest of an artifact: what made it, from what, and what it must consist of."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import Any, NoReturn

from thvideo.workspace.facts import is_number

FORMAT = 2
# How the text begins: what lies before the seal's digest and after it.
_SEAL = re.compile(rb'{\n "sha256": "([0-9a-f]{64})",\n')
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_plain_name(name: object) -> bool:
    """Tell whether a name is that of a file in one folder: no path, and nothing hidden."""
    return (
        isinstance(name, str)
        and name == Path(name).name == PureWindowsPath(name).name
        and name.isprintable()
        and not name.startswith(".")
        and name != ""
    )


@dataclass(frozen=True)
class InputFile:
    """One of the person's files that went into an artifact.

    Args:
        digest: SHA-256 of its bytes.
        size: Bytes.
        name: Its name without the folder, for the person's eyes only.
    """

    digest: str
    size: int
    name: str


@dataclass(frozen=True)
class Payload:
    """One file of an artifact.

    Args:
        size: Bytes.
        sha256: Digest of its bytes.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything known about an artifact.

    Args:
        key: The artifact's key.
        stage: Name of the stage that made it.
        version: The stage's version.
        parameters: The stage's fields.
        inputs: Keys of the input artifacts by role.
        files: The person's files by role.
        payload: The artifact's files by their path inside it; filled when it is published.
        facts: Small JSON values that the stage found out.
        seconds: Time the stage took, all its runs' last one only.
        peak_bytes: Highest memory use of the process and its children meanwhile.
        versions: Versions of the software that made it.
        made_at: UTC time in ISO 8601.
    """

    key: str
    stage: str
    version: int
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    files: dict[str, InputFile] = field(default_factory=dict)
    payload: dict[str, Payload] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    made_at: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole payload."""
        return sum(file.size for file in self.payload.values())

    def to_json(self) -> str:
        """Return the manifest as text with a digest of it; the same one gives the same text."""
        values = {"format": FORMAT} | dataclasses.asdict(self)
        text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False, default=plain) + "\n"
        rest = text.removeprefix("{\n")
        return f'{{\n "sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",\n{rest}'

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            ValueError: The text is not a manifest of this format, or not as it was written.
        """
        seal = _SEAL.match(text)
        if seal is None:
            raise ValueError("is not readable as a manifest of this version")
        rest = text[seal.end() :]
        if hashlib.sha256(rest).hexdigest() != seal[1].decode():
            raise ValueError("has other bytes than were written")
        try:
            values = json.loads(b"{" + rest, parse_constant=_refused)
            if values.pop("format") != FORMAT:
                raise ValueError
            values["files"] = {role: InputFile(**file) for role, file in values["files"].items()}
            values["payload"] = {name: Payload(**file) for name, file in values["payload"].items()}
            manifest = cls(**values)
            if not manifest._is_sound():
                raise ValueError
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError("is not readable as a manifest of this version") from error
        return manifest

    def _is_sound(self) -> bool:
        """Tell whether every value is of its kind, and no name leads out of the folder."""
        return (
            all(is_plain_name(name) for name in (self.key, self.stage, *self.inputs.values()))
            and all(is_plain_name(name) for name in self.payload)
            and all(_is_size(file.size) for file in self.payload.values())
            and all(_is_size(file.size) for file in self.files.values())
            and all(_is_digest(file.sha256) for file in self.payload.values())
            and all(isinstance(file.name, str) for file in self.files.values())
            and all(isinstance(file.digest, str) for file in self.files.values())
            and isinstance(self.parameters, dict)
            and isinstance(self.facts, dict)
            and isinstance(self.versions, dict)
            and isinstance(self.made_at, str)
            and all(map(is_number, (self.version, self.seconds, self.peak_bytes)))
        )


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and is_number(value)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def plain(value: Any) -> Any:
    """Turn array scalars, arrays and fractions into JSON values, for ``json.dumps``.

    Raises:
        TypeError: There is no JSON value for it.
    """
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not a JSON value")
