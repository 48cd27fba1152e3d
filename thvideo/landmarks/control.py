"""Control points of the head's warp: landmarks, the hair's outline, and the border at rest."""

import cv2
import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import single_shape, unposed
from thvideo.landmarks.pose import Pose, project
from thvideo.landmarks.schema import amid_eyes
from thvideo.shapes import F32Array, F64Array, check_shape

#: Landmarks that the head's spline passes through. Lids, inner lips and irises are not among
#: them: they part and meet, which a smooth spline cannot show; they are drawn in layers.
SPLINE_POINTS = np.r_[0:36, 36, 39, 42, 45, 48:60]

#: The head above the landmarks, in half jaw widths from the face's middle line, brow-to-chin
#: heights above the brows, and outer eye distances of depth: hairline, crown, and the outline of
#: the hair. The shares are those of adult heads; hair beyond moves by extrapolation.
_HEAD = np.array(
    [
        [-0.85, 0.30, 0.18],
        [-0.45, 0.36, 0.05],
        [0.00, 0.38, 0.00],
        [0.45, 0.36, 0.05],
        [0.85, 0.30, 0.18],
        [-1.08, 0.05, 0.30],
        [1.08, 0.05, 0.30],
        [-0.80, 0.62, 0.22],
        [0.00, 0.72, 0.20],
        [0.80, 0.62, 0.22],
    ]
)

#: How much larger than these points and the jaw a head is taken to be: hair stands off.
HEAD_ROOM = 1.2

#: Border points along each side.
_PER_SIDE = 7

#: Points at rest inside the lower border, as shares of the crop: shoulders do not follow the
#: head. x, y.
_SHOULDERS = np.array([[0.06, 0.88], [0.22, 0.93], [0.78, 0.93], [0.94, 0.88]])

#: A head point nearer to the border than this share of the crop is left at rest.
_MARGIN = 0.04


def head_points(face: F64Array) -> F64Array:
    """Extrapolate hairline, crown and hair outline of a face.

    Args:
        face: ``[70, 3]`` in its own frame.

    Returns:
        ``[10, 3]`` in the face's own frame.
    """
    jaw_half = float(face[[15, 16], 0].mean() - face[[0, 1], 0].mean()) / 2
    middle = float(face[[0, 1, 15, 16], 0].mean())
    brow = float(face[17:27, 1].mean())
    height = float(face[schema.CHIN, 1]) - brow
    x = middle + _HEAD[:, 0] * jaw_half
    y = brow - _HEAD[:, 1] * height
    return np.stack([x, y, _HEAD[:, 2]], axis=-1)


def head_outline(points: F64Array | F32Array) -> F64Array:
    """Say where a head is, hair that is neither long nor high included, with a little room.

    Args:
        points: ``[70, 2]`` of a picture in pixels; unknown irises are put amid their eyes.

    Returns:
        ``[N, 2]`` corners of a convex outline.
    """
    face, pose = single_shape(amid_eyes(points[None])[0])
    around = np.concatenate([project(head_points(face), pose)[0], points[:27]])
    centre = around.mean(axis=0)
    grown = (centre + HEAD_ROOM * (around - centre)).astype(np.float32)
    outline: F64Array = cv2.convexHull(grown)[:, 0].astype(np.float64)
    return outline


def border_points(size_px: int) -> F64Array:
    """Return the points ``[N, 2]`` of a square crop that never move."""
    last = size_px - 1.0
    line = np.linspace(0, last, _PER_SIDE)
    top = np.stack([line, np.zeros_like(line)], axis=-1)
    left = np.stack([np.zeros(_PER_SIDE - 2), line[1:-1]], axis=-1)
    down, across = np.array([0.0, last]), np.array([last, 0.0])
    return np.concatenate([top, top + down, left, left + across, _SHOULDERS * last])


def control_points(points: F64Array, face: F64Array, pose: Pose, size_px: int) -> F64Array:
    """Choose what the head's spline passes through.

    Args:
        points: ``[T, 70, 2]`` adapted landmarks, or the source's own, in pixels of the crop.
        face: The source's face ``[70, 3]`` in its own frame.
        pose: Its pose in these landmarks.
        size_px: Side of the crop.

    Returns:
        ``[T, N, 2]`` in pixels: landmarks, head, border; N depends on nothing.
    """
    check_shape(points, "T 70 2", T=len(pose))
    points = with_lips_at_rest(points, face, pose)
    head = project(head_points(face), pose)
    border = np.broadcast_to(border_points(size_px), (len(points), *border_points(size_px).shape))
    return np.concatenate([points[:, SPLINE_POINTS], head, border], axis=1)


def with_lips_at_rest(points: F64Array, face: F64Array, pose: Pose) -> F64Array:
    """Take from outer lips what opens them: they lie about the line of their corners as at rest.

    What corners do, and what lips do along their line, stays. A spline that also parted lips would
    fold between them.

    Args:
        points: ``[T, 70, 2]`` in pixels.
        face: The source's face ``[70, 3]`` in its own frame.
        pose: Its pose in these landmarks.
    """
    lips = slice(48, 60)
    dropped = (unposed(points, face, pose)[:, lips] - face[lips, :2])[..., 1]  # [T, 12]
    x = face[lips, 0]
    share = np.clip((x - x[0]) / (x[6] - x[0]), 0, 1)
    opened = dropped - ((1 - share) * dropped[:, :1] + share * dropped[:, 6:7])
    down = pose.scale[:, None] * pose.rotation[:, :2, 1]
    resting = points.copy()
    resting[:, lips] -= opened[..., None] * down[:, None]
    return resting


def head_inside(source_head: F64Array, size_px: int) -> F64Array:
    """Return how freely each head point may move ``[N]``: 0 at the border, 1 well inside.

    A head that fills its crop has hair at the border, and the border stays.
    """
    last = size_px - 1.0
    edge = np.minimum(source_head, last - source_head).min(axis=-1) / last
    freedom: F64Array = np.clip((edge - _MARGIN) / (2 * _MARGIN), 0, 1)
    return freedom
