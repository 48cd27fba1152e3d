"""The options of `thvideo prepare`: those that shape every clip, and those of the table alone."""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

from thvideo.errors import InputError, UsageError, reason_of
from thvideo.models.precision import Precision
from thvideo.reading import json_of
from thvideo.workspace.durable import write_whole

# Eight source frames and some others to aim at.
MIN_CLIP_FRAMES = 16
_FLAGS = {
    "size_px": "--size",
    "min_face_px": "--min-face",
    "max_frames": "--max-frames-per-clip",
    "fps": "--fps",
    "precision": "--precision",
}


@dataclass(frozen=True)
class PrepareOptions:
    """What clips are like; one dataset has one set of these.

    Attributes:
        size_px: side of the clips' frames, a multiple of 32.
        min_face_px: faces of a smaller median height, brows to chin, are rejected.
        max_frames: longer shots become several clips of about equal length.
        fps: frames a second; a slower video keeps all of its frames.
        precision: arithmetic of the trackers.
    """

    size_px: int = 256
    min_face_px: int = 90
    max_frames: int = 250
    fps: Fraction = Fraction(25)
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if not 64 <= self.size_px <= 1024 or self.size_px % 32:
            raise UsageError(
                f"--size cannot be {self.size_px}",
                hint="give a multiple of 32 from 64 to 1024: networks are trained on no others",
            )
        if self.min_face_px < 16:
            raise UsageError(f"--min-face cannot be {self.min_face_px}px", hint="give 16px or more")
        if self.max_frames < 2 * MIN_CLIP_FRAMES:
            raise UsageError(
                f"--max-frames-per-clip cannot be {self.max_frames}",
                hint=f"give {2 * MIN_CLIP_FRAMES} or more: a clip has at least {MIN_CLIP_FRAMES}",
            )
        if not Fraction(1, 10) <= self.fps <= 240:
            raise UsageError(f"--fps cannot be {self.fps}", hint="give a number from 0.1 to 240")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self) | {"fps": str(self.fps)}


@dataclass(frozen=True)
class TableOptions:
    """How people get their names and their split; they can be changed without new clips.

    Attributes:
        identity_from: table of the videos' identities; None reads them from the folders.
        val_share: share of the people, 0 to 1, who are kept for validation.
        split_seed: another seed draws other people.
    """

    identity_from: Path | None = None
    val_share: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.val_share <= 1:
            raise UsageError(
                f"--val-share cannot be {self.val_share:g}", hint="give a share from 0 to 1"
            )


@dataclass(frozen=True)
class Workers:
    """How to run; the clips do not depend on the number.

    Attributes:
        n: processes, each with one thread and a tracker of its own.
        device: where the trackers run.
    """

    n: int
    device: str = "auto"


@dataclass(frozen=True)
class VideoTask:
    """A video to be worked on.

    Attributes:
        video: its path below the folder of videos, with slashes.
        n_bytes: its size; -1 where the file cannot be looked at.
        identity: whose face it shows.
    """

    video: str
    n_bytes: int
    identity: str


def parse_min_face(text: str) -> int:
    """Read `90px` or `90`.

    Raises:
        UsageError: it is neither.
    """
    found = re.fullmatch(r"(\d{1,5})(?: ?px)?", text.strip())
    if found is None:
        raise UsageError(f"--min-face cannot be {text!r}", hint="give pixels, such as 90px")
    return int(found[1])


def parse_fps(text: str) -> Fraction:
    """Read a rate such as `25`, `12.5` or `24000/1001`.

    Raises:
        UsageError: it is no number.
    """
    # A Fraction would take 1e999999999 too, and count its digits for hours.
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:/([0-9]{1,9}))?", text.strip())
    if found is None or Fraction(found[2] or 1) == 0:
        raise UsageError(f"--fps cannot be {text!r}", hint="give a number such as 25 or 24000/1001")
    return Fraction(found[1]) / Fraction(found[2] or 1)


def begun_precision(path: Path) -> Precision | None:
    """Return the arithmetic that a dataset was begun with; None if its options do not say.

    Args:
        path: the file of its options.
    """
    with suppress(OSError, ValueError, TypeError, AttributeError):
        said = json_of(path.read_text(encoding="utf-8")).get("precision")
        return said if said in get_args(Precision) else None
    return None


def keep_options(path: Path, options: PrepareOptions, *, is_begun: bool) -> None:
    """Write the options down, or check that they are the ones a dataset was begun with.

    Args:
        path: the file.
        options: of this call.
        is_begun: whether anything was made with the options of a call before.

    Raises:
        UsageError: the dataset has others.
        InputError: it is not known which it has.
    """
    wanted = options.to_json()
    if not is_begun:
        write_whole(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        kept = dict(json_of(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({reason_of(error)}): with which options the clips were made is "
            "not known",
            hint="give a new folder with -o",
        ) from error
    # Datasets of before do not say.
    kept.setdefault("precision", options.precision)
    others = [
        f"{flag} {kept.get(name)}"
        for name, flag in _FLAGS.items()
        if kept.get(name) != wanted[name]
    ]
    if others:
        raise UsageError(
            f"{path.parent} was begun with {' '.join(others)}",
            hint="give the same options again, or another folder with -o",
        )
