"""What a driver does in one shot, apart from who is seen and where the camera stands.

Every shot has its own person's build, its own face at rest and its own camera. Short shots show
too little of these: what the whole video shows stands in for the rest.
"""

from dataclasses import dataclass

import numpy as np

from thvideo.landmarks.camera import camera_motion
from thvideo.landmarks.expression import Expression, measure, person_shape
from thvideo.landmarks.pose import Pose
from thvideo.landmarks.rest import Rest, blended_rest, expression_at_rest, most_neutral
from thvideo.shapes import BoolArray, F64Array, I64Array

#: A shot with fewer frames that show the face says nothing of who is seen.
_FEW_FRAMES = 12
#: How many frames' worth the whole video counts in a shot's own build and face at rest.
_PRIOR_FRAMES = 16.0


@dataclass(frozen=True)
class Performance:
    """One face over the T frames of a shot, or of a whole video.

    Args:
        face: The person's own mean face ``[70, 3]``.
        pose: T poses of it.
        expression: What it does in every frame.
        at_rest: The face at rest.
        rest: The most neutral frame.
    """

    face: F64Array
    pose: Pose
    expression: Expression
    at_rest: Rest
    rest: int


def read_performance(
    points: F64Array, seen: BoolArray, whole: Performance | None = None
) -> Performance:
    """Measure build, poses, expression and rest of one person.

    Args:
        points: ``[T, 70, 2]`` in pixels; irises are known.
        seen: ``[T]`` the frames that show the face well; the others tell nothing of build or rest.
        whole: What the video shows that these frames are a shot of.
    """
    calm = frames_seen(seen)
    if whole is None:
        face, pose = person_shape(points, seen=calm)
    else:
        face, pose = person_shape(points, seen=calm, prior=whole.face, prior_frames=_PRIOR_FRAMES)
    expression = measure(points, face, pose, seen=calm)
    shown = (points[calm], pose.part(calm), expression.part(calm))
    at_rest = expression_at_rest(face, *shown)
    if whole is not None:
        n_seen = len(shown[0])
        at_rest = blended_rest(at_rest, whole.at_rest, n_seen / (n_seen + _PRIOR_FRAMES))
    rest = int(np.arange(len(points))[calm][most_neutral(*shown)])
    return Performance(face, pose, expression, at_rest, rest)


def read_shot(points: F64Array, seen: BoolArray, whole: Performance, shot: slice) -> Performance:
    """Measure one shot of a video.

    Args:
        points: ``[T, 70, 2]`` the shot's own landmarks.
        seen: ``[T]`` its frames that show the face well.
        whole: What the whole video shows.
        shot: Where in it the shot lies.
    """
    if np.count_nonzero(seen) >= _FEW_FRAMES:
        return read_performance(points, seen, whole)
    pose, expression = whole.pose.part(shot), whole.expression.part(shot)
    calm = frames_seen(seen)
    rest = most_neutral(points[calm], pose.part(calm), expression.part(calm))
    rest = int(np.arange(len(points))[calm][rest])
    return Performance(whole.face, pose, expression, whole.at_rest, rest)


def frames_seen(seen: BoolArray) -> slice | I64Array:
    """Return the frames that are seen, all of them where none is."""
    if seen.all() or not seen.any():
        return slice(None)
    return np.flatnonzero(seen)


def resting_place(performance: Performance) -> tuple[F64Array, F64Array]:
    """Return where the head rests ``[T, 2]`` and its size ``[T]``: as in the most neutral frame.

    What the camera does is taken off: it moves the place of rest.
    """
    pose, rest = performance.pose, performance.rest
    way, growth = camera_motion(pose)
    place = pose.translation[rest] + way - way[rest]
    size = pose.scale[rest] * np.exp(growth - growth[rest])
    return place, size
