"""Head pose: a 3-D mean face and scaled-orthographic fits of it to landmarks.

Axes are the picture's: x to the right, y down, z away from the viewer. The face's own frame has
the same axes on a frontal upright face, its origin amid the rigid points, and the distance of
the outer eye corners as its unit.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from safetensors.numpy import load

from thvideo.landmarks import schema
from thvideo.shapes import F64Array, I64Array, check_shape

#: A frame's pose is refined this often; eight Gauss-Newton steps leave less than 0.01 degrees.
_N_STEPS = 8

#: Residuals beyond this many outer eye distances count less and less (Cauchy's weight): it is
#: what a well-tracked point still moves with expression.
_ROBUST_WIDTH = 0.03

#: Frames fitted at once, so that a long video does not need one huge array.
_BLOCK = 256


def _rigid_weights() -> F64Array:
    weights = np.zeros(schema.N_POINTS)
    weights[[36, 39, 42, 45]] = 1.0
    weights[schema.NOSE_BRIDGE] = 1.0
    weights[schema.NOSE_BASE] = 0.6
    # The jaw near the ears hardly moves with the mouth and its depth tells yaw and pitch.
    weights[[0, 1, 2, 14, 15, 16]] = 0.35
    weights[[3, 13]] = 0.2
    weights[[17, 21, 22, 26]] = 0.1
    weights.setflags(write=False)
    return weights


#: How much each landmark has to say about the pose of the skull.
RIGID_WEIGHTS = _rigid_weights()


@dataclass(frozen=True)
class Pose:
    """Scaled-orthographic poses: ``point = scale * (rotation @ X)[:2] + translation``.

    Args:
        rotation: ``[T, 3, 3]``, from the face's frame to the picture's.
        scale: ``[T]`` pixels for one outer eye distance.
        translation: ``[T, 2]`` pixels, where the face's origin lies in the picture.
    """

    rotation: F64Array
    scale: F64Array
    translation: F64Array

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.scale)

    def at(self, index: int) -> "Pose":
        """Return the pose of one frame, still with its leading axis."""
        return self.part(slice(index, index + 1) if index >= 0 else slice(index, index + 1 or None))

    def part(self, frames: slice | I64Array) -> "Pose":
        """Return the poses of some of the frames."""
        return Pose(self.rotation[frames], self.scale[frames], self.translation[frames])


@lru_cache(maxsize=1)
def face_model() -> F64Array:
    """Return the mean face ``[70, 3]``; its weights' card is ``weights/face_model.md``."""
    data = files("thvideo.weights").joinpath("face_model.safetensors").read_bytes()
    model: F64Array = load(data)["mean_face"].astype(np.float64)
    model.setflags(write=False)
    return model


def rotation_from_vector(vector: F64Array) -> F64Array:
    """Return rotation matrices ``[..., 3, 3]`` of rotation vectors ``[..., 3]`` in radians."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    safe = np.maximum(angle, 1e-12)
    skew = _skew(vector) / safe
    turned: F64Array = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * (skew @ skew)
    return turned


def vector_from_rotation(rotation: F64Array) -> F64Array:
    """Return the rotation vectors ``[..., 3]`` in radians of rotations below half a turn."""
    trace = np.trace(rotation, axis1=-2, axis2=-1)
    angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))[..., None]
    axis = np.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        axis=-1,
    )
    vector: F64Array = axis * np.where(angle < 1e-6, 0.5, angle / (2 * np.sin(angle) + 1e-12))
    return vector


def angles_deg(rotation: F64Array) -> F64Array:
    """Return yaw, pitch and roll ``[..., 3]`` in degrees of rotations ``[..., 3, 3]``.

    Yaw is positive when the nose points to the picture's right, pitch when it points up, roll
    when the head leans clockwise as the viewer sees it.
    """
    # The nose looks along -z of the face: its direction in the picture is minus column 2.
    forward = -rotation[..., :, 2]
    yaw = np.arctan2(forward[..., 0], -forward[..., 2])
    pitch = np.arcsin(np.clip(-forward[..., 1], -1, 1))
    upright = rotation_yaw_pitch(np.degrees(yaw), np.degrees(pitch))
    rest = np.swapaxes(upright, -1, -2) @ rotation
    roll = np.arctan2(rest[..., 1, 0], rest[..., 0, 0])
    angles: F64Array = np.degrees(np.stack([yaw, pitch, roll], axis=-1))
    return angles


def rotation_yaw_pitch(yaw_deg: F64Array, pitch_deg: F64Array) -> F64Array:
    """Return the rotations ``[..., 3, 3]`` that turn a frontal face by yaw, then pitch."""
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    zero = np.zeros_like(yaw)
    about_y = rotation_from_vector(np.stack([zero, -yaw, zero], axis=-1))
    about_x = rotation_from_vector(np.stack([-pitch, zero, zero], axis=-1))
    turned: F64Array = about_y @ about_x
    return turned


def rotation_from_angles(yaw_pitch_roll_deg: F64Array) -> F64Array:
    """Return rotations ``[..., 3, 3]``, the inverse of :func:`angles_deg`."""
    yaw, pitch, roll = np.moveaxis(np.asarray(yaw_pitch_roll_deg, np.float64), -1, 0)
    zero = np.zeros_like(roll)
    about_z = rotation_from_vector(np.stack([zero, zero, np.radians(roll)], axis=-1))
    turned: F64Array = rotation_yaw_pitch(yaw, pitch) @ about_z
    return turned


def project(shape: F64Array, pose: Pose) -> F64Array:
    """Project faces in their own frame into the picture.

    Args:
        shape: ``[70, 3]`` or ``[T, 70, 3]``.
        pose: ``T`` poses.

    Returns:
        ``[T, 70, 2]`` in pixels.
    """
    turned = shape @ np.swapaxes(pose.rotation, -1, -2)
    points: F64Array = pose.scale[:, None, None] * turned[..., :2] + pose.translation[:, None]
    return points


def pose_between(start: Pose, end: Pose, turn: F64Array, within: F64Array) -> Pose:
    """Return poses on the way from one to others, turns within the picture's plane apart.

    The rotation between both is parted into a turn about the line of sight and one out of the
    picture's plane (swing and twist).

    Args:
        start: One pose.
        end: ``T`` poses.
        turn: ``[T]`` 0..1, the share of the turn out of the plane.
        within: ``[T]`` 0..1, the share of what happens in it: leaning, size and place.
    """
    between = end.rotation @ np.swapaxes(start.rotation, -1, -2)
    twist = np.arctan2(between[:, 1, 0] - between[:, 0, 1], between[:, 0, 0] + between[:, 1, 1])
    zero = np.zeros_like(twist)
    swing = rotation_from_vector(np.stack([zero, zero, -twist], axis=-1)) @ between
    swung = rotation_from_vector(turn[:, None] * vector_from_rotation(swing))
    leaning = rotation_from_vector(np.stack([zero, zero, within * twist], axis=-1))
    return Pose(
        leaning @ swung @ start.rotation,
        start.scale * (end.scale / start.scale) ** within,
        start.translation + within[:, None] * (end.translation - start.translation),
    )


def fit_pose(points: F64Array, shape: F64Array | None = None) -> Pose:
    """Fit the head pose of every frame, by the points that expression hardly moves.

    Args:
        points: ``[T, 70, 2]`` in pixels; unknown irises do not matter.
        shape: The person's face ``[70, 3]`` in its own frame; the mean face if None.

    Returns:
        ``T`` poses.

    Raises:
        ValueError: The shape is wrong or a point that the fit needs is not finite.
    """
    check_shape(points, "T 70 2")
    model = face_model() if shape is None else shape
    used = np.flatnonzero(RIGID_WEIGHTS)
    blocks = []
    for start in range(0, len(points), _BLOCK):
        block = np.asarray(points[start : start + _BLOCK, used], np.float64)
        bad = np.flatnonzero(~np.isfinite(block).all(axis=(1, 2)))
        if len(bad):
            raise ValueError(f"landmarks of frame {start + int(bad[0])} are not finite")
        blocks.append(_fit_block(block, model[used], RIGID_WEIGHTS[used]))
    if not blocks:
        return Pose(np.zeros((0, 3, 3)), np.zeros(0), np.zeros((0, 2)))
    return Pose(
        np.concatenate([pose.rotation for pose in blocks]),
        np.concatenate([pose.scale for pose in blocks]),
        np.concatenate([pose.translation for pose in blocks]),
    )


def _skew(vector: F64Array) -> F64Array:
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    return np.stack(
        [
            np.stack([zero, -z, y], axis=-1),
            np.stack([z, zero, -x], axis=-1),
            np.stack([-y, x, zero], axis=-1),
        ],
        axis=-2,
    )


def _first_guess(points: F64Array, model: F64Array, weights: F64Array) -> Pose:
    """Fit an affine camera and take the nearest scaled rotation."""
    columns = np.concatenate([model, np.ones((len(model), 1))], axis=1) * weights[:, None]
    camera = np.linalg.pinv(columns) @ (points * weights[:, None])  # [T, 4, 2]
    rows = np.swapaxes(camera[:, :3], 1, 2)  # [T, 2, 3]
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    top = left @ right
    rotation = np.concatenate([top, np.cross(top[:, 0], top[:, 1])[:, None]], axis=1)
    return Pose(rotation, values.mean(axis=1), camera[:, 3])


def _fit_block(points: F64Array, model: F64Array, weights: F64Array) -> Pose:
    """Gauss-Newton over rotation, log scale and translation with Cauchy weights."""
    pose = _first_guess(points, model, weights)
    n_frames, n_points = points.shape[:2]
    for _ in range(_N_STEPS):
        turned = model @ np.swapaxes(pose.rotation, 1, 2)  # [T, N, 3]
        scale = pose.scale[:, None, None]
        residual = points - scale * turned[..., :2] - pose.translation[:, None]
        size = np.linalg.norm(residual, axis=-1) / pose.scale[:, None]
        weight = weights / (1 + (size / _ROBUST_WIDTH) ** 2)
        jacobian = np.zeros((n_frames, n_points, 2, 6))
        jacobian[..., :3] = scale[..., None] * -_skew(turned)[..., :2, :]
        jacobian[..., 3] = scale * turned[..., :2]
        jacobian[..., 0, 4] = jacobian[..., 1, 5] = 1.0
        weighted = jacobian * weight[..., None, None]
        normal = np.einsum("tnia,tnib->tab", weighted, jacobian)
        # A hair of damping keeps a degenerate frame solvable.
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6)
        right = np.einsum("tnia,tni->ta", weighted, residual)
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        pose = Pose(
            rotation_from_vector(step[:, :3]) @ pose.rotation,
            pose.scale * np.exp(np.clip(step[:, 3], -0.5, 0.5)),
            pose.translation + step[:, 4:],
        )
    return pose
