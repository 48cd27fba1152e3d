"""Landmark adaptation: the driver's motion on the source's face.

The paper draws the driver's own landmarks and so brings along the driver's face shape, a weakness
it names itself. Here a frame is taken apart into head pose, eyelids, mouth, brows and gaze; each
is put on the source's own proportions, and the source's landmarks are projected anew.
"""

from collections.abc import Sequence

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import blocks, measure, person_shape, single_shape
from thvideo.landmarks.move import AdaptSettings, move_brows, move_eyes, move_mouth, soft_limit
from thvideo.landmarks.pose import Pose, angles_deg, project, rotation_from_angles
from thvideo.landmarks.rest import (
    expression_at_rest,
    finite_landmarks,
    most_neutral,
    resting_place,
)
from thvideo.shapes import F32Array, F64Array

__all__ = ["MAX_GROWTH", "MAX_SHIFT", "MAX_TURN_DEG", "AdaptSettings", "adapt"]

#: A single picture, warped, shows no more than this much turn from the pose it was taken in:
#: beyond, the far cheek would have to come out of nothing.
MAX_TURN_DEG = (23.0, 17.0, 27.0)  # yaw, pitch, roll

#: Together with the turn that the picture itself shows: yaw, pitch, roll.
_MAX_TOTAL_TURN_DEG = (34.0, 30.0, 60.0)

#: The head's way from its resting place in outer eye distances: further, and a warp tears the
#: neck from the shoulders.
MAX_SHIFT = 0.30

#: The head grows or shrinks at most by this (natural logarithm) as it nears or leaves.
MAX_GROWTH = 0.10


def adapt(
    driver: F64Array | F32Array,
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
    known, source = finite_landmarks(driver), finite_landmarks(source[None])[0]
    if len(known) == 0:
        return np.zeros((0, schema.N_POINTS, 2))
    driver_face, driver_pose = person_shape(known)
    expression = measure(known, driver_face, driver_pose)
    rest = most_neutral(known, driver_pose, expression)
    at_rest = expression_at_rest(known, driver_face, driver_pose, expression)
    source_face, source_pose = single_shape(source)

    pose = _move_head(driver_pose, rest, source_pose, settings, cuts)
    # What is known of a block is not needed any more once it is moved: it takes its place.
    adapted = known
    for part in blocks(len(adapted)):
        moved = expression.part(part)
        faces = np.repeat(source_face[None], len(moved.offsets), axis=0)
        move_brows(faces, moved, at_rest, settings.brows)
        move_mouth(faces, moved, at_rest, driver_face, settings)
        move_eyes(faces, source_face, moved, at_rest, settings)
        adapted[part] = project(faces, pose.part(part))
    return adapted


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

    place, size = resting_place(driver, rest, cuts)
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

    Turned further away, a half-profile would pull its far eye over the face's edge; turned back,
    it would have to show the cheek that the picture hides.
    """
    limit = MAX_TURN_DEG[axis]
    further = np.clip(_MAX_TOTAL_TURN_DEG[axis] - abs(own), 0.3 * limit, limit)
    back = max(limit - 0.4 * abs(own), 0.5 * limit)
    return np.where(angle * own > 0, further, back)
