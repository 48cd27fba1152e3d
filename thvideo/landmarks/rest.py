"""The driver's face at rest: what relative motion is relative to.

Not the first frame, which may be a blink or half a word, but the calmest ones.
"""

from dataclasses import dataclass

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import EYES, Expression, blocks
from thvideo.landmarks.pose import Pose, angles_deg, face_model
from thvideo.shapes import F32Array, F64Array, check_shape

#: Fewer frames than this say nothing about what is usual for the driver.
_FEW_FRAMES = 12


def finite_landmarks(points: F64Array | F32Array) -> F64Array:
    """Check landmarks ``[T, 70, 2]`` and put unknown irises amid their eyes.

    Raises:
        ValueError: The shape is wrong or a point other than an iris is not finite.
    """
    check_shape(points, "T 70 2")
    points = np.array(points, np.float64)
    finite = np.isfinite(points[:, : schema.N_IBUG_POINTS]).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(f"landmarks of frame {int(np.flatnonzero(~finite)[0])} are not finite")
    # A tracker without irises leaves them NaN: eyes that look straight ahead.
    for (outer, inner), _, _, iris in EYES:
        lost = ~np.isfinite(points[:, iris]).all(axis=1)
        points[lost, iris] = (points[lost, outer] + points[lost, inner]) / 2
    return points


def most_neutral(points: F64Array, pose: Pose, expression: Expression) -> int:
    """Return the frame at rest: eyes open, mouth closed, looking ahead, hardly moving.

    Args:
        points: ``[T, 70, 2]`` in pixels.
        pose: How the head stands in each frame.
        expression: What the face does in each frame.
    """
    angles = angles_deg(pose.rotation)
    moved = np.zeros(len(points))
    if len(points) > 1:
        for part in blocks(len(points) - 1):
            later = points[part.start + 1 : part.stop + 1]
            step = np.linalg.norm(later - points[part], axis=-1).mean(axis=1)
            moved[part.start + 1 : part.stop + 1] = step / schema.outer_eye_distance(later)
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
class Rest:
    """The driver's face at rest: ``offsets [70, 2]``, ``opening [2]`` and ``gaze [2, 2]``."""

    offsets: F64Array
    opening: F64Array
    gaze: F64Array


def expression_at_rest(
    face: F64Array, points: F64Array, pose: Pose, expression: Expression
) -> Rest:
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
    return Rest(offsets, expression.opening[eyes].mean(axis=0), expression.gaze[eyes].mean(axis=0))


def blended_rest(own: Rest, other: Rest, share: float) -> Rest:
    """Return a rest between two, a share of the first."""

    def between(first: F64Array, second: F64Array) -> F64Array:
        return share * first + (1 - share) * second

    return Rest(
        between(own.offsets, other.offsets),
        between(own.opening, other.opening),
        between(own.gaze, other.gaze),
    )


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
