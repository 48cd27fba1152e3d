"""Landmark adaptation: the driver's motion on the source's face.

The paper draws the driver's own landmarks and so brings along the driver's face shape, a weakness
it names itself. Here a frame is taken apart into head pose, eyelids, mouth, brows and gaze; each
is put on the source's own proportions, and the source's landmarks are projected anew.
"""

from collections.abc import Sequence
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
    lip_gaps,
    measure,
    person_shape,
    single_shape,
)
from thvideo.landmarks.pose import (
    Pose,
    angles_deg,
    face_model,
    project,
    rotation_from_angles,
)
from thvideo.shapes import F64Array, check_shape

#: A single picture, warped, shows no more than this much turn from the pose it was taken in:
#: beyond, the far cheek would have to come out of nothing.
MAX_TURN_DEG = (25.0, 20.0, 30.0)  # yaw, pitch, roll

#: Together with the turn that the picture itself shows: yaw, pitch, roll.
_MAX_TOTAL_TURN_DEG = (34.0, 30.0, 60.0)

#: The head's way from its resting place in outer eye distances: further, and a warp tears the
#: neck from the shoulders.
MAX_SHIFT = 0.30

#: The head grows or shrinks at most by this (natural logarithm) as it nears or leaves.
MAX_GROWTH = 0.10

#: An eye opens at most to this share of the opening in the source picture: nothing is known of
#: what lies beneath the lid.
MAX_OPENING = 1.3

#: A closing eye: the upper lid does this share of the way, the lower the rest.
_UPPER_LID_SHARE = 0.88

#: The iris stays this near the middle of its eye, in eye widths: x, y.
_MAX_GAZE = (0.24, 0.10)

#: Fewer frames than this say nothing about what is usual for the driver.
_FEW_FRAMES = 12

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


def neutral_frame(points: F64Array) -> int:
    """Find the driver's most neutral frame: at rest, eyes open, mouth closed, looking ahead.

    Args:
        points: ``[T, 70, 2]`` in pixels.

    Returns:
        The index of the frame.
    """
    points = _checked(points)
    face, pose = person_shape(points)
    return _most_neutral(points, pose, measure(points, face, pose))


def adapt(
    driver: F64Array,
    source: F64Array,
    settings: AdaptSettings | None = None,
    *,
    cuts: Sequence[int] = (),
) -> F64Array:
    """Move the source's landmarks as the driver's move.

    Args:
        driver: ``[T, 70, 2]`` in pixels of the driver video, without gaps; irises may be NaN
            throughout.
        source: ``[70, 2]`` in pixels of the source crop.
        settings: Strengths and mode; the defaults if None.
        cuts: First frames of new shots: another shot has its own resting place of the head.

    Returns:
        ``[T, 70, 2]`` in pixels of the source crop.

    Raises:
        ValueError: A shape is wrong or a point is not finite.
    """
    settings = AdaptSettings() if settings is None else settings
    driver, source = _checked(driver), _checked(source[None])[0]
    if len(driver) == 0:
        return np.zeros((0, schema.N_POINTS, 2))
    driver_face, driver_pose = person_shape(driver)
    expression = measure(driver, driver_face, driver_pose)
    rest = _most_neutral(driver, driver_pose, expression)
    at_rest = _expression_at_rest(driver, driver_face, driver_pose, expression)
    source_face, source_pose = single_shape(source)

    pose = _move_head(driver_pose, rest, source_pose, settings, cuts)
    faces = np.repeat(source_face[None], len(driver), axis=0)
    _move_brows(faces, expression, at_rest, settings.brows)
    _move_mouth(faces, expression, at_rest, driver_face, settings)
    _move_eyes(faces, source_face, expression, at_rest, settings)
    return project(faces, pose)


def soft_limit(value: F64Array, limit: F64Array | float) -> F64Array:
    """Pass small values unchanged and let large ones approach ``limit`` smoothly.

    Unchanged up to half the limit, then a hyperbolic tangent of slope one at the joint.
    """
    half = limit / 2
    over = np.abs(value) - half
    bent = np.sign(value) * (half + half * np.tanh(np.maximum(over, 0) / half))
    return np.where(over > 0, bent, value)


def _checked(points: F64Array) -> F64Array:
    check_shape(points, "T 70 2")
    points = np.asarray(points, np.float64).copy()
    finite = np.isfinite(points[:, : schema.N_IBUG_POINTS]).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(f"landmarks of frame {int(np.flatnonzero(~finite)[0])} are not finite")
    # A tracker without irises leaves them NaN: eyes that look straight ahead.
    for (outer, inner), _, _, iris in EYES:
        lost = ~np.isfinite(points[:, iris]).all(axis=1)
        points[lost, iris] = (points[lost, outer] + points[lost, inner]) / 2
    return points


def _most_neutral(points: F64Array, pose: Pose, expression: Expression) -> int:
    angles = angles_deg(pose.rotation)
    moved = np.zeros(len(points))
    if len(points) > 1:
        step = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
        moved[1:] = step / schema.outer_eye_distance(points)[1:]
        moved[0] = moved[1]
    cost = (
        _eyes_cost(expression)
        + _mouth_cost(expression)
        + _turn_cost(angles)
        + np.linalg.norm(angles[:, :2], axis=-1) / 20
        + moved / 0.02
    )
    return int(np.argmin(cost))


# Each unit of a cost is about what a viewer would call clearly not neutral.
def _eyes_cost(expression: Expression) -> F64Array:
    brows = expression.offsets[:, 17:27, 1].mean(axis=1)
    gaze = expression.gaze.mean(axis=1)
    cost: F64Array = (
        np.abs(expression.opening.mean(axis=1) - 1) / 0.25
        + np.abs(brows - np.median(brows)) / 0.06
        + np.linalg.norm(gaze - np.median(gaze, axis=0), axis=-1) / 0.08
    )
    return cost


def _mouth_cost(expression: Expression) -> F64Array:
    corners = expression.offsets[:, [schema.RIGHT_MOUTH_CORNER, schema.LEFT_MOUTH_CORNER]]
    width = corners[:, 1, 0] - corners[:, 0, 0]
    # A smile widens a mouth and speech narrows it for a moment: rest lies in the lower half.
    usual = np.percentile(width, 35)
    cost: F64Array = expression.gap.mean(axis=1) / 0.04 + np.abs(width - usual) / 0.06
    return cost


def _turn_cost(angles: F64Array) -> F64Array:
    cost: F64Array = np.linalg.norm(angles - np.median(angles, axis=0), axis=-1) / 5
    return cost


@dataclass(frozen=True)
class _Rest:
    """The driver's face at rest: ``offsets [70, 2]``, ``opening [2]`` and ``gaze [2, 2]``."""

    offsets: F64Array
    opening: F64Array
    gaze: F64Array


def _expression_at_rest(
    points: F64Array, face: F64Array, pose: Pose, expression: Expression
) -> _Rest:
    """Average the calmest frames, apart for eyes and mouth: few faces rest all at once."""
    turn = _turn_cost(angles_deg(pose.rotation)) / 2
    n_calm = int(np.clip(len(points) // 12, 1, 25))
    eyes = np.argsort(_eyes_cost(expression) + turn, kind="stable")[:n_calm]
    mouth = np.argsort(_mouth_cost(expression) + turn, kind="stable")[:n_calm]
    offsets = expression.offsets[mouth].mean(axis=0)
    offsets[17:27] = expression.offsets[eyes, 17:27].mean(axis=0)
    if len(points) >= _FEW_FRAMES:
        open_by = float(expression.gap[mouth].mean())
        offsets[schema.MOUTH] += _unpursed(face[schema.MOUTH] + _flat(offsets), open_by)
    return _Rest(offsets, expression.opening[eyes].mean(axis=0), expression.gaze[eyes].mean(axis=0))


def _flat(offsets: F64Array) -> F64Array:
    return np.pad(offsets[schema.MOUTH], ((0, 0), (0, 1)))


def _unpursed(mouth: F64Array, open_by: float) -> F64Array:
    """Return what widens a mouth ``[20, 2]`` that was never seen closed to a resting width.

    A driver who says "oh" from first to last has no rest; taken for rest, it would make every
    other sound a grin.
    """
    usual = face_model()[[48, 54], 0]
    wider = float(np.ptp(usual) / max(np.ptp(mouth[[0, 6], 0]), 1e-3)) - 1
    doubt = float(np.clip((open_by - 0.02) / 0.06, 0, 1))
    middle = mouth[:, 0].mean()
    change = np.zeros((20, 2))
    change[:, 0] = doubt * np.clip(wider, 0, 0.4) * (mouth[:, 0] - middle)
    return change


def _move_head(
    driver: Pose, rest: int, source: Pose, settings: AdaptSettings, cuts: Sequence[int]
) -> Pose:
    """Turn, shift and grow the source's head as the driver's, within what a warp can show."""
    at_rest = driver.rotation[rest]
    # Taken in the face's own frame: how the driver's camera is held does not matter.
    if settings.motion == "relative":
        turn = at_rest.T @ driver.rotation
    else:
        turn = source.rotation[0].T @ driver.rotation
    angles = angles_deg(turn) * settings.pose
    own = angles_deg(source.rotation[0])
    limited = [soft_limit(angles[:, i], _room_to_turn(angles[:, i], own[i], i)) for i in range(3)]
    rotation = source.rotation[0] @ rotation_from_angles(np.stack(limited, axis=-1))

    place, size = _resting_place(driver, rest, cuts)
    growth = soft_limit(np.log(driver.scale / size) * settings.pose, MAX_GROWTH)
    shift = (driver.translation - place) / size[:, None]
    if settings.motion == "relative":
        lean = angles_deg(source.rotation[0])[2] - angles_deg(at_rest)[2]
        cos, sin = np.cos(np.radians(lean)), np.sin(np.radians(lean))
        shift = shift @ np.array([[cos, sin], [-sin, cos]])
    length = np.linalg.norm(shift, axis=-1, keepdims=True) * settings.pose
    shift = shift * settings.pose * soft_limit(length, MAX_SHIFT) / np.maximum(length, 1e-9)
    return Pose(
        rotation,
        source.scale[0] * np.exp(growth),
        source.translation[0] + source.scale[0] * shift,
    )


def _room_to_turn(angle: F64Array, own: float, axis: int) -> F64Array:
    """Return how far ``[T]`` a head may turn that the picture shows turned by ``own`` already.

    Turned further away, a half-profile would pull its far eye over the face's edge.
    """
    limit = MAX_TURN_DEG[axis]
    further = np.clip(_MAX_TOTAL_TURN_DEG[axis] - abs(own), 0.3 * limit, limit)
    return np.where(angle * own > 0, further, limit)


def _resting_place(driver: Pose, rest: int, cuts: Sequence[int]) -> tuple[F64Array, F64Array]:
    """Return where the head rests ``[T, 2]`` and its size ``[T]`` in every frame's shot.

    The neutral frame's own in its shot; the median in others, where the camera stands elsewhere.
    """
    n_frames = len(driver)
    place, size = np.empty((n_frames, 2)), np.empty(n_frames)
    starts = [0, *sorted(cut for cut in set(cuts) if 0 < cut < n_frames), n_frames]
    for start, stop in zip(starts[:-1], starts[1:], strict=True):
        shot = slice(start, stop)
        if start <= rest < stop:
            place[shot], size[shot] = driver.translation[rest], driver.scale[rest]
        else:
            place[shot] = np.median(driver.translation[shot], axis=0)
            size[shot] = np.median(driver.scale[shot])
    return place, size


def _move_brows(faces: F64Array, driver: Expression, rest: _Rest, strength: float) -> None:
    # A brow moves up and down; sideways it is mostly noise, except its inner end in a frown.
    moved = driver.offsets - rest.offsets
    for brow in BROWS:
        part = moved[:, brow]
        # The brow moves as a whole and tilts; five points on their own would wriggle.
        mean = part.mean(axis=1, keepdims=True)
        faces[:, brow, 1] += strength * (0.5 * part + 0.5 * mean)[..., 1]
        faces[:, brow, 0] += strength * 0.5 * mean[..., 0]


def _move_mouth(
    faces: F64Array, driver: Expression, rest: _Rest, driver_face: F64Array, settings: AdaptSettings
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


def _smile_difference(source: F64Array, rest: _Rest, driver_face: F64Array) -> F64Array:
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


def _move_eyes(
    faces: F64Array, source: F64Array, driver: Expression, rest: _Rest, settings: AdaptSettings
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
    return measure(face[None, :, :2], face, frontal).gaze[0]
