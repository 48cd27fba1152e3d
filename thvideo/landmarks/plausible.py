"""Motions that a real face could make, for one picture that shows none.

What is drawn here keeps to what a sample of clips of talking people shows: the spread of each
number is about that of its 1st to 99th percentile over a clip, around the clip's median.

Faces here are in their own frame (see :mod:`thvideo.landmarks.pose`): lengths are in outer eye
distances, y points down.
"""

from dataclasses import dataclass

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.adapt import MAX_SHIFT, MAX_TURN_DEG
from thvideo.landmarks.expression import BROWS, LIP_PAIRS, Expression, single_shape
from thvideo.landmarks.move import (
    AdaptSettings,
    move_brows,
    move_eyes,
    move_mouth,
    soft_limit,
)
from thvideo.landmarks.pose import Pose, project, rotation_from_angles
from thvideo.landmarks.rest import Rest, finite_landmarks
from thvideo.shapes import F32Array, F64Array

#: Standard deviations: yaw, pitch and roll in degrees; way of the head; growth (natural
#: logarithm); width of the mouth, lift of its corners, its way aside; height and tilt of the
#: brows; gaze in eye widths.
_TURN_DEG = (8.0, 5.0, 5.0)
_SHIFT, _GROWTH = 0.12, 0.03
_WIDTH, _LIFT, _ASIDE = 0.06, 0.03, 0.015
_BROW, _BROW_TILT = 0.025, 0.015
_GAZE = (0.08, 0.03)

#: Lips part by up to this in three of four motions, and touch in the others.
_GAP, _GAP_CHANCE = 0.32, 0.75
#: Eyes blink in one of four motions, and are more or less open in the others.
_BLINK_CHANCE, _OPENING = 0.25, 0.15


@dataclass(frozen=True)
class Motions:
    """T ways in which a face may stand and what it may do, beside how a picture shows it.

    Args:
        turn_deg: ``[T, 3]`` yaw, pitch and roll.
        shift: ``[T, 2]`` way of the head.
        growth: ``[T]`` natural logarithm.
        gap: ``[T]`` between the inner lips; NaN leaves it.
        mouth: ``[T, 3]`` how much wider it is, how much its corners rise, its way to the side.
        brows: ``[T, 2]`` how much they rise, how much more their inner ends do.
        opening: ``[T]`` of the eyes, 1 is as in the picture, 0 is closed.
        gaze: ``[T, 2]`` irises' way in eye widths.
    """

    turn_deg: F64Array
    shift: F64Array
    growth: F64Array
    gap: F64Array
    mouth: F64Array
    brows: F64Array
    opening: F64Array
    gaze: F64Array

    @classmethod
    def still(cls, n_motions: int) -> "Motions":
        """Leave the face as it is."""
        pairs = np.zeros((n_motions, 2))
        return cls(
            turn_deg=np.zeros((n_motions, 3)),
            shift=pairs,
            growth=np.zeros(n_motions),
            gap=np.full(n_motions, np.nan),
            mouth=np.zeros((n_motions, 3)),
            brows=pairs,
            opening=np.ones(n_motions),
            gaze=pairs,
        )

    @classmethod
    def drawn(cls, n_motions: int, rng: np.random.Generator) -> "Motions":
        """Draw motions as talking people make them."""
        blinks = rng.random(n_motions) < _BLINK_CHANCE
        parted = rng.random(n_motions) < _GAP_CHANCE
        return cls(
            turn_deg=rng.normal(0, _TURN_DEG, (n_motions, 3)),
            shift=rng.normal(0, _SHIFT, (n_motions, 2)),
            growth=rng.normal(0, _GROWTH, n_motions),
            gap=np.where(parted, rng.uniform(0, _GAP, n_motions), 0.0),
            mouth=rng.normal(0, (_WIDTH, _LIFT, _ASIDE), (n_motions, 3)),
            brows=rng.normal(0, (_BROW, _BROW_TILT), (n_motions, 2)),
            opening=np.where(
                blinks,
                rng.uniform(0, 0.4, n_motions),
                rng.normal(1, _OPENING, n_motions).clip(0.5, 1.3),
            ),
            gaze=rng.normal(0, _GAZE, (n_motions, 2)),
        )


def moved_faces(points: F64Array | F32Array, motions: Motions) -> F64Array:
    """Let the face of a picture make T motions.

    Args:
        points: ``[70, 2]`` in pixels; unknown irises are put amid their eyes.
        motions: T motions.

    Returns:
        ``[T, 70, 2]`` in pixels. Turn and way are held to what a warp can show.

    Raises:
        ValueError: A point other than an iris is not finite.
    """
    face, pose = single_shape(finite_landmarks(points[None])[0])
    n_motions = len(motions.growth)
    expression, rest = _expression(face, motions)
    faces = np.repeat(face[None], n_motions, axis=0)
    settings = AdaptSettings()
    move_brows(faces, expression, rest, 1.0)
    move_mouth(faces, expression, rest, face, settings)
    move_eyes(faces, face, expression, rest, settings)
    turn = np.stack(
        [soft_limit(motions.turn_deg[:, i], MAX_TURN_DEG[i]) for i in range(3)], axis=-1
    )
    shift = soft_limit(motions.shift, MAX_SHIFT)
    return project(
        faces,
        Pose(
            pose.rotation[0] @ rotation_from_angles(turn),
            pose.scale[0] * np.exp(motions.growth),
            pose.translation[0] + pose.scale[0] * shift,
        ),
    )


def _expression(face: F64Array, motions: Motions) -> tuple[Expression, Rest]:
    """Say motions as a driver's expression, whose face at rest is the picture's own."""
    n_motions = len(motions.growth)
    offsets = np.zeros((n_motions, schema.N_POINTS, 2))
    lips = face[schema.MOUTH, :2]
    middle = (face[schema.RIGHT_MOUTH_CORNER] + face[schema.LEFT_MOUTH_CORNER])[0] / 2
    half = (face[schema.LEFT_MOUTH_CORNER] - face[schema.RIGHT_MOUTH_CORNER])[0] / 2
    across = (lips[:, 0] - middle) / half
    wider, lift, aside = motions.mouth.T[:, :, None]
    offsets[:, schema.MOUTH, 0] = wider / 2 * across + aside
    offsets[:, schema.MOUTH, 1] = -lift * across**2
    for brow in BROWS:
        inward = -np.abs(face[brow, 0])
        inward = (inward - inward.mean()) / np.ptp(inward)
        rise, tilt = motions.brows.T[:, :, None]
        offsets[:, brow, 1] = -(rise + tilt * inward)
    own_gap = [max(face[low, 1] - face[up, 1], 0.0) for up, low in LIP_PAIRS]
    # The lips part most in their middle.
    gap = motions.gap[:, None] * np.array([0.8, 1.0, 0.8])
    gaze = np.repeat(motions.gaze[:, None], 2, axis=1)
    opening = np.repeat(motions.opening[:, None], 2, axis=1)
    expression = Expression(
        offsets=offsets.astype(np.float32),
        opening=opening,
        lid_ratio=np.ones(2),
        gap=np.where(np.isnan(gap), own_gap, gap),
        gaze=gaze,
    )
    at_rest = Rest(offsets=np.zeros((70, 2)), opening=np.ones(2), gaze=np.zeros((2, 2)))
    return expression, at_rest
