"""The manifest of an artifact: what made it, from what, and what it must consist of."""

import dataclasses
import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

FORMAT = 1


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
        """Return the manifest as text; the same manifest gives the same text."""
        values = {"format": FORMAT} | dataclasses.asdict(self)
        return json.dumps(values, indent=1, sort_keys=True, allow_nan=False, default=plain) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read a manifest.

        Raises:
            ValueError: The text is not a manifest of this format.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError("not an artifact manifest of this format")
        try:
            values["files"] = {role: InputFile(**file) for role, file in values["files"].items()}
            values["payload"] = {name: Payload(**file) for name, file in values["payload"].items()}
            return cls(**values)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not an artifact manifest: {error}") from error


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
