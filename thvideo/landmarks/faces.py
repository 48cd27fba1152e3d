"""Faces of one frame: what a detector proposes, as far as landmarks bear it out.

Shapes: N detections.
"""

import numpy as np

from thvideo.landmarks.continuity import Face
from thvideo.landmarks.doubt import face_doubt
from thvideo.landmarks.placing import look_twice
from thvideo.landmarks.tracker import Tracker, box_from_detection, box_from_points
from thvideo.shapes import F32Array, U8Array

#: A tracker's confidence from which a new face is begun.
BEGUN = 0.5
_MAX_CANDIDATES = 8
# Hands and ears that a detector takes for faces have scores far below those of faces.
_LEAST_OF_BEST = 0.65


def faces_at(
    frame: U8Array, detections: F32Array, tracker: Tracker, least_confidence: float = BEGUN
) -> list[Face]:
    """Look at every detection; those without a face in them are false.

    Args:
        frame: ``[H, W, 3]`` RGB.
        detections: ``[N, 5]`` or ``[N, 6]``: corners, score, and perhaps the roll in radians.
        tracker: Places landmarks.
        least_confidence: Of the tracker in a face.

    Returns:
        Faces, those first of which the tracker is surest, each once.
    """
    if len(detections):
        convincing = _LEAST_OF_BEST * detections[:, 4].max()
        detections = detections[detections[:, 4] >= convincing]
    by_size = np.argsort(-(detections[:, 2] - detections[:, 0]), kind="stable")
    rough = box_from_detection(detections[by_size[:_MAX_CANDIDATES]])
    if len(rough) == 0:
        return []
    found = looked_at(frame, rough, tracker)
    faces: list[Face] = []
    for face in sorted(found, key=lambda face: -face.confidence):
        is_new = all(_gap_sides(face.box, other.box) > 0.4 for other in faces)
        if face.confidence >= least_confidence and np.isfinite(face.box).all() and is_new:
            faces.append(face)
    return faces


def looked_at(frame: U8Array, rough: F32Array, tracker: Tracker) -> list[Face]:
    """Place the landmarks of the faces in rough boxes ``[N, 4]``, and weigh them."""
    frames = np.broadcast_to(frame, (len(rough), *frame.shape))
    points, confidence = look_twice(frames, rough, tracker)
    boxes, doubts = box_from_points(points), face_doubt(points, confidence, tracker.clear)
    return [
        Face(box, own, float(sure), float(doubt))
        for box, own, sure, doubt in zip(boxes, points, confidence, doubts, strict=True)
    ]


def _gap_sides(box: F32Array, other: F32Array) -> float:
    gap = float(np.hypot(box[0] - other[0], box[1] - other[1]))
    return gap / float(min(box[2], other[2]))
