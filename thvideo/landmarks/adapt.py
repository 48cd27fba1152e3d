"""Landmark adaptation: the driver's motion on the source's face.

The paper draws the driver's own landmarks and so brings along the driver's face shape, a weakness
it names itself. Here a frame is taken apart into head pose, eyelids, mouth, brows and gaze; each
is put on the source's own proportions, and the source's landmarks are projected anew.
"""

from collections.abc import Sequence

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import blocks, single_shape
from thvideo.landmarks.gaps import shot_bounds
from thvideo.landmarks.move import AdaptSettings, move_brows, move_eyes, move_mouth, soft_limit
from thvideo.landmarks.performance import (
    Performance,
    read_performance,
    read_shot,
    resting_place,
)
from thvideo.landmarks.pose import Pose, angles_deg, project, rotation_from_angles
from thvideo.landmarks.rest import finite_landmarks
from thvideo.landmarks.upright import shots_upright
from thvideo.shapes import BoolArray, F32Array, F64Array

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
    seen: BoolArray | None = None,
) -> F64Array:
    """Move the source's landmarks as the driver's move.

    Args:
        driver: ``[T, 70, 2]`` in pixels of the driver video, without gaps; irises may be NaN
            throughout.
        source: ``[70, 2]`` in pixels of the source crop.
        settings: Strengths and mode; the defaults if None.
        cuts: First frames of new shots: each is moved by its own neutral frame, build and resting
            place.
        seen: ``[T]`` the frames that show the face well, from which these are taken; all if None.

    Returns:
        ``[T, 70, 2]`` in pixels of the source crop.

    Raises:
        ValueError: A shape is wrong or a point is not finite.
    """
    settings = AdaptSettings() if settings is None else settings
    known = shots_upright(finite_landmarks(driver), cuts)
    source = finite_landmarks(source[None])[0]
    if len(known) == 0:
        return np.zeros((0, schema.N_POINTS, 2))
    seen = np.ones(len(known), dtype=np.bool_) if seen is None else seen
    whole = read_performance(known, seen)
    shots = shot_bounds(cuts, len(known))
    for first, end in shots:
        shot = known[first:end]
        own = whole
        if len(shots) > 1:
            own = read_shot(shot, seen[first:end], whole, slice(first, end))
        # What is known of a shot is not needed any more once it is moved: it takes its place.
        _adapt_shot(shot, own, source, settings)
    return known


def _adapt_shot(
    shot: F64Array, own: Performance, source: F64Array, settings: AdaptSettings
) -> None:
    """Write over a shot's landmarks ``[T, 70, 2]`` what makes the source do the same."""
    source_face, source_pose = single_shape(source)
    pose = _move_head(own, source_pose, settings)
    for part in blocks(len(shot)):
        moved = own.expression.part(part)
        faces = np.repeat(source_face[None], len(moved.offsets), axis=0)
        move_brows(faces, moved, own.at_rest, settings.brows)
        move_mouth(faces, moved, own.at_rest, own.face, settings)
        move_eyes(faces, source_face, moved, own.at_rest, settings)
        shot[part] = project(faces, pose.part(part))


def _move_head(acted: Performance, source: Pose, settings: AdaptSettings) -> Pose:
    """Turn, shift and grow the source's head as the driver's, within what a warp can show."""
    driver = acted.pose
    at_rest = driver.rotation[acted.rest]
    # Taken in the face's own frame: how the driver's camera is held does not matter.
    if settings.motion == "relative":
        turn = at_rest.T @ driver.rotation
    else:
        turn = source.rotation[0].T @ driver.rotation
    angles = angles_deg(turn) * settings.pose
    own = angles_deg(source.rotation[0])
    limited = [soft_limit(angles[:, i], _room_to_turn(angles[:, i], own[i], i)) for i in range(3)]
    rotation = source.rotation[0] @ rotation_from_angles(np.stack(limited, axis=-1))

    place, size = resting_place(acted)
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
