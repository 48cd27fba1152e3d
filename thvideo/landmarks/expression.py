"""What a face does, measured apart from how the person is built and where the head points.

Faces here are in their own frame (see :mod:`thvideo.landmarks.pose`): unit outer eye distance,
x to the right, y down. A :class:`Expression` holds one row for each frame.
"""

from dataclasses import dataclass, replace

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.pose import Pose, face_model, fit_pose, project
from thvideo.shapes import F32Array, F64Array, I64Array

#: Outer and inner corner, upper lid, lower lid, iris of each eye (right, then left).
EYES = (
    ((36, 39), (37, 38), (41, 40), schema.RIGHT_IRIS),
    ((42, 45), (43, 44), (47, 46), schema.LEFT_IRIS),
)
BROWS = (schema.RIGHT_BROW, schema.LEFT_BROW)

#: Inner-lip points that lie above each other.
LIP_PAIRS = ((61, 67), (62, 66), (63, 65))

#: Closed eyes are found at this share of the open eye's height or below: the bundled tracker's
#: median on held-out blinks is 0.32, its deepest 0.22, the labels' own 0.19.
_CLOSED_SHARE = 0.28

#: The usual opening of an eye: this percentile of its heights, so that blinks, droops and looks
#: down do not count.
_OPEN_PERCENTILE = 70

#: How many frames' worth the mean face counts in a person's own shape.
_PRIOR_FRAMES = 4.0

#: A person's own shape is taken from at most so many frames, spread evenly, in so many
#: alternations of pose and shape.
_SHAPE_FRAMES, _SHAPE_ROUNDS = 1000, 3

_ALL = slice(None)

#: Frames that are worked on at once, so that memory does not grow with the video.
BLOCK_FRAMES = 256

#: Beyond this slant a point's place on the face is not recovered from its place in the picture
#: without blowing up its error.
_MIN_FORESHORTENING = 0.25


#: Of what lies behind the inner eye corners, a lifted picture keeps this share of the depth. With
#: all of it, brow, eye corner and jaw of the far side close up on turning, and the eye between
#: them is squeezed: a warp cannot take the cheek out of sight as a turning head does.
_BACK_RELIEF = 0.45


@dataclass(frozen=True)
class Expression:
    """The expression in every frame.

    Args:
        offsets: ``[T, 70, 2]`` how far every point is from the person's own mean face.
        opening: ``[T, 2]`` of the right and left eye: 0 closed, 1 the person's usual opening.
        lid_ratio: ``[2]`` height over width of the usually open eye.
        gap: ``[T, 3]`` between the inner lips at three places, in outer eye distances.
        gaze: ``[T, 2, 2]`` iris from the middle of its eye, in eye widths; 0 where unknown.
    """

    offsets: F32Array
    opening: F64Array
    lid_ratio: F64Array
    gap: F64Array
    gaze: F64Array

    def part(self, frames: slice | I64Array) -> "Expression":
        """Return the expression in some of the frames."""
        return replace(
            self,
            offsets=self.offsets[frames],
            opening=self.opening[frames],
            gap=self.gap[frames],
            gaze=self.gaze[frames],
        )


def person_shape(
    points: F64Array,
    *,
    seen: slice | I64Array = _ALL,
    prior: F64Array | None = None,
    prior_frames: float = _PRIOR_FRAMES,
) -> tuple[F64Array, Pose]:
    """Fit the person's own mean face and its pose in every frame, together.

    Without it a person's build would pass for expression, and differently at every turn of the
    head.

    Args:
        points: ``[T, 70, 2]`` in pixels; unknown irises stay the mean face's.
        seen: The frames that tell of the person's build.
        prior: The face ``[70, 3]`` that is expected; the mean face if None.
        prior_frames: How many frames' worth it counts.

    Returns:
        The face ``[70, 3]`` and ``T`` poses.
    """
    everything = points
    points = points[seen]
    if len(points) > _SHAPE_FRAMES:
        # A person's build shows in a thousand frames; more would only fill the memory.
        points = points[np.linspace(0, len(points) - 1, _SHAPE_FRAMES).round().astype(int)]
    expected = face_model() if prior is None else prior
    face = expected.copy()
    known = np.isfinite(points).all(axis=(0, 2))
    pose = fit_pose(points, face)
    weight = prior_frames * np.diag([1.0, 1.0, 2.0])
    for _ in range(_SHAPE_ROUNDS):
        camera = pose.rotation[:, :2]
        placed = (points[:, known] - pose.translation[:, None]) / pose.scale[:, None, None]
        rest = placed - face[known] @ np.swapaxes(camera, 1, 2)
        trust = 1 / (1 + (np.linalg.norm(rest, axis=-1) / 0.1) ** 2)  # [T, N]
        normal = np.einsum("tn,tia,tib->nab", trust, camera, camera) + weight
        right = np.einsum("tn,tia,tni->na", trust, camera, placed)
        right += expected[known] @ weight
        face[known] = np.linalg.solve(normal, right[..., None])[..., 0]
        pose = fit_pose(points, face)
    return face, pose if len(points) == len(everything) else fit_pose(everything, face)


def single_shape(points: F64Array) -> tuple[F64Array, Pose]:
    """Lift one picture's landmarks to a face that projects exactly onto them.

    Args:
        points: ``[70, 2]`` in pixels; unknown irises are put amid their eyes.

    Returns:
        The face ``[70, 3]``, its depth the mean face's, flattened at the back, and its pose (one
        frame).
    """
    pose = fit_pose(points[None])
    flat = (points - pose.translation[0]) / pose.scale[0]
    relief = face_model().copy()
    behind = np.maximum(relief[:, 2] - relief[39, 2], 0)
    relief[:, 2] -= (1 - _BACK_RELIEF) * behind
    depth = (relief @ pose.rotation[0].T)[:, 2:]
    face: F64Array = np.concatenate([flat, depth], axis=1) @ pose.rotation[0]
    return face, pose


def unposed(points: F64Array, face: F64Array, pose: Pose) -> F64Array:
    """Return where every point lies on the face ``[T, 70, 2]``, seen from its front.

    The difference to ``face`` in the picture is taken to lie in the face's own plane.
    """
    difference = (points - project(face, pose)) / pose.scale[:, None, None]
    plane = pose.rotation[:, :2, :2]
    left, values, right = np.linalg.svd(plane)
    values = np.maximum(values, _MIN_FORESHORTENING)
    inverse = np.swapaxes(right, 1, 2) @ (np.swapaxes(left, 1, 2) / values[:, :, None])
    offsets: F64Array = difference @ np.swapaxes(inverse, 1, 2)
    return offsets + face[:, :2]


def eye_heights(flat: F64Array) -> F64Array:
    """Return height over width of both eyes ``[T, 2]`` of unposed faces ``[T, 70, 2]``."""
    ratios = []
    for (outer, inner), upper, lower, _ in EYES:
        width = np.linalg.norm(flat[:, inner] - flat[:, outer], axis=-1)
        height = (flat[:, lower, 1] - flat[:, upper, 1]).mean(axis=-1)
        ratios.append(np.maximum(height, 0) / width)
    return np.stack(ratios, axis=-1)


def lip_gaps(flat: F64Array) -> F64Array:
    """Return the inner lips' gap at three places ``[T, 3]`` of unposed faces."""
    pairs = np.array(LIP_PAIRS)
    gap: F64Array = flat[:, pairs[:, 1], 1] - flat[:, pairs[:, 0], 1]
    return np.maximum(gap, 0)


def measure(
    points: F64Array, face: F64Array, pose: Pose, *, seen: slice | I64Array = _ALL
) -> Expression:
    """Measure the expression in every frame of one person.

    Args:
        points: ``[T, 70, 2]`` in pixels.
        face: The person's own mean face ``[70, 3]``.
        pose: ``T`` poses of it.
        seen: The frames that tell how far the eyes are usually open.
    """
    parts = [_flat_parts(points[part], face, pose.part(part)) for part in blocks(len(points))]
    offsets, heights, gap, gaze = (np.concatenate(values) for values in zip(*parts, strict=True))
    usual = np.percentile(heights[seen], _OPEN_PERCENTILE, axis=0)
    usual = np.maximum(usual, 0.05)
    opening = np.maximum(heights / usual - _CLOSED_SHARE, 0) / (1 - _CLOSED_SHARE)
    # On a turned head the far eye is seen edge-on and its lids are guesses: it follows the near.
    turn = np.clip(np.abs(pose.rotation[:, 0, 2]) / 0.6, 0, 1)[:, None]  # 0.6 is 37 degrees
    near = np.where(pose.rotation[:, 0, 2] > 0, opening[:, 0], opening[:, 1])[:, None]
    together = opening.mean(axis=1, keepdims=True)
    opening = 0.7 * opening + 0.3 * together
    opening = (1 - turn) * opening + turn * near
    return Expression(
        offsets=offsets,
        opening=opening,
        lid_ratio=usual,
        gap=gap,
        gaze=gaze,
    )


def blocks(n_frames: int) -> list[slice]:
    """Cut a video into slices of at most ``BLOCK_FRAMES`` frames."""
    starts = range(0, n_frames, BLOCK_FRAMES)
    return [slice(start, min(start + BLOCK_FRAMES, n_frames)) for start in starts]


def _flat_parts(
    points: F64Array, face: F64Array, pose: Pose
) -> tuple[F32Array, F64Array, F64Array, F64Array]:
    """Return offsets, eye heights, lip gaps and gaze of some frames."""
    flat = unposed(points, face, pose)
    offsets = np.nan_to_num(flat - face[:, :2]).astype(np.float32)
    return offsets, eye_heights(flat), lip_gaps(flat), _gaze(flat, pose)


def _gaze(flat: F64Array, pose: Pose) -> F64Array:
    gaze = np.zeros((len(flat), 2, 2))
    for side, ((outer, inner), _, _, iris) in enumerate(EYES):
        axis = flat[:, inner] - flat[:, outer]
        width = np.linalg.norm(axis, axis=-1, keepdims=True)
        axis = axis / width
        from_middle = (flat[:, iris] - (flat[:, inner] + flat[:, outer]) / 2) / width
        gaze[:, side, 0] = (from_middle * axis).sum(axis=-1)
        gaze[:, side, 1] = axis[:, 0] * from_middle[:, 1] - axis[:, 1] * from_middle[:, 0]
    known = np.isfinite(gaze).all(axis=(1, 2))
    gaze[~known] = 0
    # Eyes look together: what differs between them is mostly the tracker's noise.
    both = gaze.mean(axis=1, keepdims=True)
    steadied: F64Array = 0.25 * gaze + 0.75 * both
    return steadied
