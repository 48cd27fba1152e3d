"""Moving brows, mouth and eyes of the source's face as the driver's move.

Faces ``[T, 70, 3]`` lie in their own frame (see :mod:`thvideo.landmarks.pose`) and are changed in
place.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import (
    BROWS,
    EYES,
    LIP_PAIRS,
    Expression,
    eye_heights,
    measure,
)
from thvideo.landmarks.pose import Pose
from thvideo.landmarks.rest import Rest
from thvideo.shapes import F64Array

#: An eye opens at most to this share of the opening in the source picture: nothing is known of
#: what lies beneath the lid.
MAX_OPENING = 1.3

#: A closing eye: the upper lid does this share of the way, the lower the rest.
_UPPER_LID_SHARE = 0.88

#: The iris stays this near the middle of its eye, in eye widths: x, y.
_MAX_GAZE = (0.24, 0.10)

#: A mouth opens by the jaw: the lower lip does this share.
_LOWER_LIP_SHARE = 0.65


@dataclass(frozen=True)
class AdaptSettings:
    """How much of the driver's motion the source takes over.

    Args:
        motion: "relative" to the driver's most neutral frame, or "absolute".
        pose: Strength of the head's motion, 1 is the driver's own.
        mouth: Strength of the mouth's and jaw's motion.
        eyes: Strength of the eyelids' motion.
        brows: Strength of the brows' motion.
        gaze: Strength of the irises' motion.
    """

    motion: Literal["relative", "absolute"] = "relative"
    pose: float = 1.0
    mouth: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    gaze: float = 1.0


def soft_limit(value: F64Array, limit: F64Array | float) -> F64Array:
    """Pass small values unchanged and let large ones approach ``limit`` smoothly.

    Unchanged up to half the limit, then a hyperbolic tangent of slope one at the joint.
    """
    half = limit / 2
    over = np.abs(value) - half
    bent = np.sign(value) * (half + half * np.tanh(np.maximum(over, 0) / half))
    return np.where(over > 0, bent, value)


def move_brows(faces: F64Array, driver: Expression, rest: Rest, strength: float) -> None:
    """Raise, lower and tilt the brows."""
    # A brow moves up and down; sideways it is mostly noise, except its inner end in a frown.
    moved = driver.offsets - rest.offsets
    for brow in BROWS:
        part = moved[:, brow]
        # The brow moves as a whole and tilts; five points on their own would wriggle.
        mean = part.mean(axis=1, keepdims=True)
        faces[:, brow, 1] += strength * (0.5 * part + 0.5 * mean)[..., 1]
        faces[:, brow, 0] += strength * 0.5 * mean[..., 0]


def move_mouth(
    faces: F64Array, driver: Expression, rest: Rest, driver_face: F64Array, settings: AdaptSettings
) -> None:
    """Move lips and jaw, and set the gap between the lips to the driver's, scaled."""
    source = faces[0].copy()
    wide, high = _mouth_scale(source, driver_face)
    moved = (driver.offsets - rest.offsets) * np.array([wide, high])
    target = faces[..., :2].copy()
    target[:, schema.MOUTH] += moved[:, schema.MOUTH]
    jaw = np.arange(17)
    # The chin goes with the mouth, the ears stay.
    weight = np.clip(1 - np.abs(jaw - 8) / 6.0, 0, 1) ** 0.5
    target[:, jaw] += moved[:, jaw] * weight[:, None] * np.array([0.5, 1.0])
    if settings.motion == "absolute":
        target[:, schema.MOUTH] += _smile_difference(source, rest, driver_face)

    # The gap is the driver's own at all times: an open mouth in the picture can close.
    wanted = driver.gap * high
    pairs = np.array(LIP_PAIRS)
    have = target[:, pairs[:, 1], 1] - target[:, pairs[:, 0], 1]
    change = wanted - have  # [T, 3]
    for upper_points, lower_points, share in (
        ((61, 50), (67, 58), change[:, 0]),
        ((62, 51), (66, 57), change[:, 1]),
        ((63, 52), (65, 56), change[:, 2]),
        ((49,), (59,), change[:, 0] / 2),
        ((53,), (55,), change[:, 2] / 2),
    ):
        target[:, upper_points, 1] -= (1 - _LOWER_LIP_SHARE) * share[:, None]
        target[:, lower_points, 1] += _LOWER_LIP_SHARE * share[:, None]
    target[:, jaw, 1] += 0.5 * _LOWER_LIP_SHARE * change.mean(axis=1)[:, None] * weight**2
    faces[..., :2] += settings.mouth * (target - faces[..., :2])


def _mouth_scale(source: F64Array, driver: F64Array) -> tuple[float, float]:
    """Return how much wider and higher the source's mouth and lower face are."""

    def width(face: F64Array) -> float:
        return float(np.linalg.norm(face[54, :2] - face[48, :2]))

    def height(face: F64Array) -> float:
        return float(face[8, 1] - face[33, 1])

    wide = np.clip(width(source) / width(driver), 0.75, 1.35)
    high = np.clip(height(source) / height(driver), 0.75, 1.35)
    # Absolute gaps go by the mouth's own size as well: a small mouth opens less.
    return float(wide), float(np.sqrt(high * wide))


def _smile_difference(source: F64Array, rest: Rest, driver_face: F64Array) -> F64Array:
    """Return what turns the source's smile into the driver's at rest, ``[20, 2]``.

    Measured by how far the corners lie above the middle of the lips, the part of a mouth's shape
    that is expression more than build; small differences are build.
    """

    def lift(face: F64Array) -> float:
        middle = face[[51, 57], 1].mean()
        return float(middle - face[[48, 54], 1].mean())

    at_rest = driver_face[:, :2] + rest.offsets
    difference = lift(at_rest) - lift(source)
    beyond = np.sign(difference) * np.clip(abs(difference) - 0.02, 0, 0.05)
    mouth = np.zeros((20, 2))
    across = np.abs(source[schema.MOUTH, 0] - source[schema.MOUTH, 0].mean())
    mouth[:, 1] = -beyond * np.clip(across / across.max(), 0, 1) ** 2
    return mouth


def move_eyes(
    faces: F64Array, source: F64Array, driver: Expression, rest: Rest, settings: AdaptSettings
) -> None:
    """Open and close the lids by their share of the usual opening, and turn the irises."""
    own_ratio = eye_heights(source[None, :, :2])[0]
    opening = driver.opening.copy()
    if settings.motion == "absolute":
        # Wide eyes stay wider than narrow ones; only part of the difference is expression.
        opening *= np.clip(driver.lid_ratio / np.maximum(own_ratio, 0.05), 0.85, 1.18)
    else:
        opening /= np.clip(rest.opening, 0.8, 1.25)
    opening = 1 + settings.eyes * (opening - 1)
    opening = np.where(
        opening > 1, 1 + soft_limit(opening - 1, MAX_OPENING - 1), np.maximum(opening, 0)
    )
    looks = settings.gaze * (driver.gaze - rest.gaze)
    if settings.motion == "absolute":
        own_gaze = measure_gaze(source)
        looks = settings.gaze * (driver.gaze - own_gaze)
    for side, ((outer, inner), upper, lower, iris) in enumerate(EYES):
        share = opening[:, side, None, None]
        low, up = source[list(lower)], source[list(upper)]
        closed = low + (1 - _UPPER_LID_SHARE) * (up - low)
        faces[:, list(upper)] = closed + share * (up - closed)
        faces[:, list(lower)] = closed + share * (low - closed)
        axis = source[inner, :2] - source[outer, :2]
        width = float(np.linalg.norm(axis))
        axis = axis / width
        across = np.array([-axis[1], axis[0]])
        middle = (source[inner, :2] + source[outer, :2]) / 2
        own = (source[iris, :2] - middle) / width
        own_x, own_y = float(own @ axis), float(own @ across)
        # The clamp never moves an iris that already lies further out in the picture.
        limit_x, limit_y = max(_MAX_GAZE[0], abs(own_x)), max(_MAX_GAZE[1], abs(own_y))
        x = np.clip(own_x + looks[:, side, 0], -limit_x, limit_x)
        # Under a falling lid the iris label follows the lid; that is no gaze.
        seen = np.clip(opening[:, side] / 0.6, 0, 1)
        y = np.clip(own_y + seen * looks[:, side, 1], -limit_y, limit_y)
        x = own_x + seen * (x - own_x)
        faces[:, iris, :2] = middle + width * (x[:, None] * axis + y[:, None] * across)


def measure_gaze(face: F64Array) -> F64Array:
    """Return the gaze ``[2, 2]`` of one face ``[70, 3]`` in its own frame."""
    frontal = Pose(np.eye(3)[None], np.ones(1), np.zeros((1, 2)))
    gaze: F64Array = measure(face[None, :, :2], face, frontal).gaze[0]
    return gaze
