"""Landmarks of every frame of a window, from boxes of the face at its key frames.

Boxes between key frames are interpolated, and one look at every frame places its landmarks; where
that misses the face it is detected again.

Shapes: T frames, K key frames.
"""

import numpy as np

from thvideo.imaging.turn import points_back, points_upright, quarter_of, turn_upright
from thvideo.landmarks.continuity import has_drifted, interpolate_boxes, is_same_face, match
from thvideo.landmarks.tracker import Tracker, box_from_detection, box_from_points
from thvideo.landmarks.windows import Window
from thvideo.shapes import F32Array, I64Array, U8Array

#: A tracker's confidence from which there is a face.
FOUND = 0.3


def place(
    window: Window, key_boxes: F32Array, tracker: Tracker
) -> tuple[F32Array, F32Array, F32Array]:
    """Place the landmarks of a window's own frames.

    Args:
        window: The frames.
        key_boxes: ``[K, 4]`` boxes of the face at the key frames, NaN where it is not found.
        tracker: Finds faces and landmarks.

    Returns:
        ``[T, 70, 2]``, confidences ``[T]`` and log odds ``[T]`` that the mouth is covered; NaN, 0
        and NaN without any box.
    """
    frames = window.frames[: window.n_own]
    if not np.isfinite(key_boxes[:, 0]).any():
        nowhere = np.full((len(frames), 70, 2), np.nan, np.float32)
        return nowhere, np.zeros(len(frames), np.float32), nowhere[:, 0, 0]
    boxes = interpolate_boxes(window.keys, key_boxes, range(len(frames)))
    results = tracker.observe(frames, boxes)
    points, confidence, _ = results
    seen = box_from_points(points)
    drifted = np.flatnonzero((confidence >= FOUND) & has_drifted(boxes, seen))
    if len(drifted):
        again = tracker.observe(frames[drifted], seen[drifted])
        for result, better in zip(results, again, strict=True):
            result[drifted] = better
    lost = [row for row in range(len(frames)) if not _is_it(boxes[row], points[row])]
    lost = sorted({*lost, *np.flatnonzero(~(confidence >= FOUND)).tolist()})
    confidence[lost] = 0.0
    if lost:
        _look_again(frames, np.array(lost), boxes, results, tracker)
    return results


def look_twice(frames: U8Array, rough: F32Array, tracker: Tracker) -> tuple[F32Array, F32Array]:
    """Place landmarks from rough boxes ``[T, 4]``, and again from the boxes that these give."""
    points, _ = tracker.landmarks(frames, rough)
    return tracker.landmarks(frames, box_from_points(points))


def detect_leaning(
    frames: U8Array, roll: float, tracker: Tracker, near: F32Array | None = None
) -> list[F32Array]:
    """Detect faces that lean about as far as one before: on turned frames if it lay on its side.

    Args:
        frames: ``[T, H, W, 3]``.
        roll: Radians.
        tracker: Finds faces.
        near: ``[4]`` as `Tracker.detect` takes it.

    Returns:
        ``[N, 5]`` for each frame, as `Tracker.detect` does.
    """
    quarter, size = quarter_of(roll), (frames.shape[1], frames.shape[2])
    if quarter == 0:
        return tracker.detect(frames, near)
    if near is not None:
        place = points_upright(near[:2], quarter, size)
        near = np.append(place, near[2:]).astype(np.float32)
    found_in = tracker.detect(turn_upright(frames, quarter), near)
    for found in found_in:
        ends = points_back(found[:, :4].reshape(-1, 2, 2), quarter, size)
        found[:, :4] = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
    return found_in


def _is_it(box: F32Array, points: F32Array) -> bool:
    return is_same_face(box, box_from_points(points[None])[0])


def _look_again(
    frames: U8Array,
    lost: I64Array,
    boxes: F32Array,
    results: tuple[F32Array, F32Array, F32Array],
    tracker: Tracker,
) -> None:
    """Detect on the frames where the face was lost, and put what is found in place."""
    rows, rough = [], []
    # As they all lie in a window, one lean does for all of them.
    found_in = detect_leaning(frames[lost], float(np.median(boxes[lost, 3])), tracker)
    for row, found in zip(lost, found_in, strict=True):
        others = box_from_detection(found)
        chosen = match(boxes[row], others)
        if chosen is not None:
            rows.append(int(row))
            rough.append(np.append(others[chosen, :3], boxes[row, 3]).astype(np.float32))
    if not rows:
        return
    first_points, _ = tracker.landmarks(frames[rows], np.stack(rough))
    again = tracker.observe(frames[rows], box_from_points(first_points))
    for row, box, face, sure, covered in zip(rows, rough, *again, strict=True):
        if sure >= FOUND and _is_it(box, face):
            for result, better in zip(results, (face, sure, covered), strict=True):
                result[row] = better
