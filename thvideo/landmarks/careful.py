"""The slow and thorough way to a face, for pictures and for the first frame of a shot."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from thvideo.imaging.turn import points_back, turn_upright
from thvideo.landmarks.continuity import Face
from thvideo.landmarks.doubt import BESIDE_SURE, NO_FACE, SURE
from thvideo.landmarks.faces import BEGUN, faces_at, looked_at
from thvideo.landmarks.placing import FOUND
from thvideo.landmarks.schema import flip_points
from thvideo.landmarks.tracker import Tracker, box_from_points
from thvideo.shapes import F32Array, F64Array, U8Array

# Faces of up to 30 degrees of roll are upright within a detector's reach: after one of these
# turns, or of a quarter, all are.
_TURNS_DEG = (-35.0, 35.0)
_HALF_QUARTERS_DEG = (-135.0, 135.0)
# Two boxes that overlap more than this are one face.
_SAME_FACE_OVERLAP = 0.35
# What a later look finds in the same place has to be this much less doubtful.
_LATER_DOUBT = 0.5
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


# A view, its way back to the frame, and the roll in radians of a face that is upright in it.
View = tuple[U8Array, F64Array, float]
Look = Callable[[U8Array], Iterator[View]]


def find_carefully(
    frame: U8Array, tracker: Tracker, looks: "tuple[Look, ...] | None" = None
) -> list[Face]:
    """Find faces at several scales, in parts of the picture, and at any turn if need be.

    Later looks see more, and more that is not a face: hands in a tile of a painting, or a face in
    what lies upside down. The landmark check tells: once a face is sure, no look is taken more.

    Args:
        frame: ``[H, W, 3]`` RGB.
        tracker: What finds faces.
        looks: What is looked at, in turn; everything if None.

    Returns:
        Faces, each once, with the roll that they have.
    """
    found: list[Face] = []
    for look in (*THOROUGH, _quarter_tiles) if looks is None else looks:
        detections = _merge([_detect_view(*view, tracker) for view in look(frame)])
        # Paintings and statues may convince less; there is no next frame to wait for.
        faces = faces_at(frame, detections, tracker) or faces_at(frame, detections, tracker, FOUND)
        found = less_doubtful(found, faces)
        found = less_doubtful(found, _in_place(frame, found, tracker))
        if any(face.doubt <= SURE for face in found):
            break
    return [face for face in found if face.doubt < NO_FACE]


def _in_place(frame: U8Array, faces: list[Face], tracker: Tracker) -> list[Face]:
    """Look at faces of which none is sure again as if they lay on a side or upside down."""
    if not faces or any(face.doubt <= SURE for face in faces):
        return []
    boxes = np.repeat(np.stack([face.box for face in faces]), 3, axis=0)
    boxes[:, 3] += np.tile(np.pi / 2 * np.arange(1, 4, dtype=np.float32), len(faces))
    turned = looked_at(frame, boxes, tracker)
    return [face for face in turned if face.confidence >= BEGUN and np.isfinite(face.box).all()]


def less_doubtful(found: list[Face], later: list[Face]) -> list[Face]:
    """Join faces of two looks: of those in one place, the less doubtful one.

    Beside a sure face, what is very doubtful is none: a body upside down, beside its head.

    Args:
        found: Faces of the first look.
        later: Faces of another, which have to be clearly less doubtful.
    """
    kept = list(found)
    for face in later:
        same = [other for other in kept if _is_one(face, other)]
        if all(face.doubt + _LATER_DOUBT <= other.doubt for other in same):
            kept = [*(other for other in kept if other not in same), face]
    is_sure = any(face.doubt <= SURE for face in kept)
    return [face for face in kept if face.doubt <= BESIDE_SURE or not is_sure]


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


def _is_one(face: Face, other: Face) -> bool:
    return _overlap(_corners(face), _corners(other)) >= _SAME_FACE_OVERLAP


def _corners(face: Face) -> F32Array:
    points = face.points[:68]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _whole(frame: U8Array) -> Iterator[View]:
    """The picture, and the picture with room around it."""
    height, width = frame.shape[:2]
    yield frame, _shift(0, 0), 0.0
    room = max(height, width) // 3
    padded = cv2.copyMakeBorder(frame, room, room, room, room, cv2.BORDER_REPLICATE)
    yield np.asarray(padded, dtype=np.uint8), _shift(-room, -room), 0.0


def _tiles(frame: U8Array) -> Iterator[View]:
    """Parts of a large picture, overlapping."""
    height, width = frame.shape[:2]
    if min(height, width) < _MIN_TILED_PX:
        return
    tile_h, tile_w = int(height * _TILE_SHARE), int(width * _TILE_SHARE)
    for top in (0, height - tile_h):
        for left in (0, width - tile_w):
            tile = frame[top : top + tile_h, left : left + tile_w]
            yield np.ascontiguousarray(tile), _shift(left, top), 0.0


def _shift(x: float, y: float) -> F64Array:
    return np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)


def _turned(frame: U8Array, turns_deg: tuple[float, ...] = _TURNS_DEG) -> Iterator[View]:
    """The picture turned to either side."""
    height, width = frame.shape[:2]
    for angle_deg in turns_deg:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle_deg, 1.0)
        view = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        back = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
        yield np.asarray(view, dtype=np.uint8), back, np.radians(angle_deg)


def _quarters(frame: U8Array) -> Iterator[View]:
    """The picture on either side and upside down, and turns between these."""
    yield from _on_quarters(frame, _whole)
    yield from _turned(frame, _HALF_QUARTERS_DEG)


def _plain_quarters(frame: U8Array) -> Iterator[View]:
    """The picture on either side and upside down, as it is."""
    yield from _on_quarters(frame, lambda upright: iter([(upright, _shift(0, 0), 0.0)]))


def _quarter_tiles(frame: U8Array) -> Iterator[View]:
    """Parts of the picture on either side and upside down."""
    yield from _on_quarters(frame, _tiles)


def _on_quarters(frame: U8Array, look: Look) -> Iterator[View]:
    size = (frame.shape[0], frame.shape[1])
    for quarter in (1, 3, 2):
        for view, back, _ in look(turn_upright(frame, quarter)):
            yield view, _quarter_back(quarter, size) @ _square(back), quarter * np.pi / 2


def _quarter_back(quarter: int, size: tuple[int, int]) -> F64Array:
    """The way ``[2, 3]`` from a picture that was turned upright to the frame."""
    corner, right, below = points_back(np.array([[0, 0], [1, 0], [0, 1]]), quarter, size)
    return np.stack([right - corner, below - corner, corner], axis=1)


def _square(affine: F64Array) -> F64Array:
    return np.concatenate([affine, [[0.0, 0.0, 1.0]]])


def _detect_view(view: U8Array, to_frame: F64Array, roll: float, tracker: Tracker) -> F32Array:
    """Detect in a view and bring the boxes to the frame, upright and as large as there.

    Returns:
        ``[N, 6]``: corners, score, and the roll in radians.
    """
    found = tracker.detect(view[None])[0]
    centre = (found[:, :2] + found[:, 2:4]) / 2 @ to_frame[:, :2].T + to_frame[:, 2]
    half = (found[:, 2:4] - found[:, :2]) / 2
    rolls = np.full((len(found), 1), roll)
    boxes = np.concatenate([centre - half, centre + half, found[:, 4:5], rolls], axis=1)
    return boxes.astype(np.float32)


def _merge(found: list[F32Array]) -> F32Array:
    boxes = np.concatenate([np.zeros((0, 6), dtype=np.float32), *found])
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


#: What is looked at where a shot begins.
THOROUGH: tuple[Look, ...] = (_whole, _tiles, _turned, _quarters)
#: What is looked at besides where a face was lost.
IN_PASSING: tuple[Look, ...] = (_turned, _plain_quarters)
