"""The slow and thorough way to a face, for pictures and for the first frame of a shot."""

from collections.abc import Iterator

import cv2
import numpy as np

from thvideo.landmarks.schema import flip_points
from thvideo.landmarks.tracker import Tracker, box_from_points
from thvideo.shapes import F32Array, F64Array, U8Array

# Faces of up to 45 degrees of roll are upright within a detector's reach after one of these.
_TURNS_DEG = (-35.0, 35.0)
# Two boxes that overlap more than this are one face.
_SAME_FACE_OVERLAP = 0.35
_TILE_SHARE = 0.6
_MIN_TILED_PX = 400
# Changes of the box (moves in sides, size, roll in radians) over which points are averaged.
_NUDGES = (
    (0.0, 0.0, 1.0, 0.0),
    (0.03, 0.02, 1.04, 0.0),
    (-0.03, 0.02, 0.96, 0.0),
    (0.02, -0.03, 1.0, 0.05),
    (-0.02, -0.03, 1.0, -0.05),
)


def detect_carefully(frame: U8Array, tracker: Tracker) -> F32Array:
    """Find faces at several scales, in parts of the picture, and turned if need be.

    Args:
        frame: ``[H, W, 3]`` RGB.
        tracker: What finds faces.

    Returns:
        ``[N, 5]`` x0, y0, x1, y1 in pixels and score, best first, each face once.
    """
    # Later looks see more, and more that is not a face: hands in a tile of a painting.
    looks = (_whole, _tiles, _turned)
    found = np.zeros((0, 5), dtype=np.float32)
    for look in looks:
        if len(found) == 0:
            found = _merge([_detect_view(view, back, tracker) for view, back in look(frame)])
    return found


def landmarks_precisely(
    frame: U8Array, box: F32Array, tracker: Tracker
) -> tuple[F32Array, F32Array]:
    """Place the landmarks of one face with care: three looks, the last from several boxes.

    Args:
        frame: ``[H, W, 3]`` RGB.
        box: ``[4]`` centre x, centre y, side (pixels), roll (radians), rough.
        tracker: What places landmarks.

    Returns:
        Points ``[1, 70, 2]`` and confidence ``[1]``.
    """
    frames = frame[None]
    boxes = box[None]
    for _ in range(2):
        points, confidence = tracker.landmarks(frames, boxes)
        boxes = box_from_points(points)
        if not np.isfinite(boxes).all():
            return points, confidence
    nudged = np.concatenate([_nudge(boxes[0], nudge)[None] for nudge in _NUDGES])
    many = np.broadcast_to(frame, (len(nudged), *frame.shape))
    straight, sure = tracker.landmarks(many, nudged)
    width = frame.shape[1]
    mirrored = nudged * np.array([-1, 1, 1, -1], dtype=np.float32)
    mirrored[:, 0] += width - 1
    flipped = np.broadcast_to(np.ascontiguousarray(frame[:, ::-1]), many.shape)
    back, sure_back = tracker.landmarks(flipped, mirrored)
    looks = np.concatenate([straight, flip_points(back, width)])
    confidence = np.median(np.concatenate([sure, sure_back]), keepdims=True)
    return np.median(looks, axis=0, keepdims=True).astype(np.float32), confidence


def _nudge(box: F32Array, nudge: tuple[float, float, float, float]) -> F32Array:
    move_x, move_y, grow, turn = nudge
    side = box[2]
    change = (box[0] + move_x * side, box[1] + move_y * side, side * grow, box[3] + turn)
    return np.array(change, dtype=np.float32)


def _whole(frame: U8Array) -> Iterator[tuple[U8Array, F64Array]]:
    """The picture, and the picture with room around it; each with its way back."""
    height, width = frame.shape[:2]
    yield frame, _shift(0, 0)
    room = max(height, width) // 3
    padded = cv2.copyMakeBorder(frame, room, room, room, room, cv2.BORDER_REPLICATE)
    yield np.asarray(padded, dtype=np.uint8), _shift(-room, -room)


def _tiles(frame: U8Array) -> Iterator[tuple[U8Array, F64Array]]:
    """Parts of a large picture, overlapping."""
    height, width = frame.shape[:2]
    if min(height, width) < _MIN_TILED_PX:
        return
    tile_h, tile_w = int(height * _TILE_SHARE), int(width * _TILE_SHARE)
    for top in (0, height - tile_h):
        for left in (0, width - tile_w):
            tile = frame[top : top + tile_h, left : left + tile_w]
            yield np.ascontiguousarray(tile), _shift(left, top)


def _shift(x: float, y: float) -> F64Array:
    return np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)


def _turned(frame: U8Array) -> Iterator[tuple[U8Array, F64Array]]:
    """The picture turned to either side."""
    height, width = frame.shape[:2]
    for angle_deg in _TURNS_DEG:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle_deg, 1.0)
        view = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        back = cv2.invertAffineTransform(matrix)
        yield np.asarray(view, dtype=np.uint8), np.asarray(back, dtype=np.float64)


def _detect_view(view: U8Array, to_frame: F64Array, tracker: Tracker) -> F32Array:
    """Detect in a view and bring the boxes to the frame, upright and as large as there."""
    found = tracker.detect(view[None])[0]
    centre = (found[:, :2] + found[:, 2:4]) / 2 @ to_frame[:, :2].T + to_frame[:, 2]
    half = (found[:, 2:4] - found[:, :2]) / 2
    return np.concatenate([centre - half, centre + half, found[:, 4:5]], axis=1).astype(np.float32)


def _merge(found: list[F32Array]) -> F32Array:
    boxes = np.concatenate([np.zeros((0, 5), dtype=np.float32), *found])
    left = list(np.argsort(-boxes[:, 4], kind="stable"))
    kept: list[int] = []
    while left:
        best = left.pop(0)
        kept.append(int(best))
        left = [other for other in left if _overlap(boxes[best], boxes[other]) < _SAME_FACE_OVERLAP]
    return boxes[kept]


def _overlap(a: F32Array, b: F32Array) -> float:
    """Shared area over the smaller area: a box cut off at a tile's edge is the same face."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:4], b[2:4])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(box[2:4] - box[:2])) for box in (a, b)]
    return shared / max(min(areas), 1e-6)
