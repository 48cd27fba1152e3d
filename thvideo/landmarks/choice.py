"""Which of several faces is meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thvideo.errors import InputError, UsageError
from thvideo.landmarks.likeness import similarity
from thvideo.reading import whole_number
from thvideo.shapes import F32Array

# Below this two faces are not the same person: it holds for 1 in 30 pairs from one clip and for
# half of the pairs from two.
STRANGER_LIKENESS = 0.5

ChoiceRule = Literal["largest", "left", "right", "index", "like"]
_PLAIN_RULES: dict[str, ChoiceRule] = {"largest": "largest", "left": "left", "right": "right"}


@dataclass(frozen=True, eq=False)
class FaceChoice:
    """The rule by which a face is chosen among several.

    Args:
        rule: "largest"; "left" or "right" as seen in the picture; "index"; or "like" another
            picture.
        index: Number in order of size, the largest is 0; for "index".
        likeness: Descriptor of the face wanted (``likeness.describe``); for "like".
    """

    rule: ChoiceRule = "largest"
    index: int = 0
    likeness: F32Array | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One face among those to choose from.

    Args:
        box: ``[4]`` x0, y0, x1, y1 in pixels.
        likeness: Its descriptor, if there is one.
    """

    box: F32Array
    likeness: F32Array | None = None


def parse_choice(text: str, likeness: F32Array | None = None) -> FaceChoice:
    """Read the value of ``--face``.

    Args:
        text: "largest", "left", "right", a number from 0 in order of size, or "like".
        likeness: Descriptor of the face wanted, for "like".

    Raises:
        UsageError: The text is none of these, or "like" comes without a descriptor.
    """
    if (number := whole_number(text)) is not None:
        return FaceChoice("index", number)
    if text == "like":
        if likeness is None:
            raise UsageError(
                "the face 'like' needs a picture of the face", hint="give it with --face-like FILE"
            )
        return FaceChoice("like", 0, likeness)
    if text in _PLAIN_RULES:
        return FaceChoice(_PLAIN_RULES[text])
    raise UsageError(
        f"there is no face '{text}'",
        hint="use largest, left, right, like or a number from 0 in order of size",
    )


def needs_likeness(choice: FaceChoice, followed: F32Array | None, n_candidates: int) -> bool:
    """Say whether the candidates have to be described before one is chosen."""
    return n_candidates > 1 and (choice.rule == "like" or followed is not None)


def choose(
    candidates: Sequence[Candidate], choice: FaceChoice, followed: F32Array | None, where: str
) -> int:
    """Choose one face.

    Someone who was followed before is chosen again where likely; else the rule decides.

    Args:
        candidates: At least one.
        choice: The rule.
        followed: Descriptor of the person followed so far, if there is one.
        where: File and frame, for the message.

    Returns:
        The index of the chosen candidate.

    Raises:
        InputError: The number asked for is too high.
    """
    wanted = choice.likeness if choice.rule == "like" else followed
    if wanted is not None and len(candidates) > 1:
        alike = [_likeness(candidate, wanted) for candidate in candidates]
        if choice.rule == "like" or max(alike) >= STRANGER_LIKENESS:
            return int(np.argmax(alike))
    boxes = np.stack([candidate.box[:4] for candidate in candidates])
    centres_x = boxes[:, 0] + boxes[:, 2]
    if choice.rule == "left":
        return int(np.argmin(centres_x))
    if choice.rule == "right":
        return int(np.argmax(centres_x))
    by_size = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable")
    if choice.rule != "index" or (followed is not None and choice.index >= len(candidates)):
        return int(by_size[0])
    if choice.index >= len(candidates):
        faces = "1 face was" if len(candidates) == 1 else f"{len(candidates)} faces were"
        raise InputError(
            f"face {choice.index} was asked for, but only {faces} found in {where}",
            hint="use --face largest, left or right, or a smaller number: the largest face is 0",
        )
    return int(by_size[choice.index])


def _likeness(candidate: Candidate, wanted: F32Array) -> float:
    return -1.0 if candidate.likeness is None else similarity(candidate.likeness, wanted)
