"""One face through time: which box is the same face, and where it is in between.

A box is (centre x, centre y, side, roll) in pixels and radians, NaN where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thvideo.shapes import BoolArray, F32Array, F64Array

# Between two key frames a face moves at most by this share of its side, and two faces beside
# each other are farther apart than that.
_REACH_SIDES = 0.75
_REACH_SIDES_PER_FRAME, _MAX_REACH_SIDES = 0.03, 1.25
# How much larger or smaller it may become.
_GROWTH, _GROWTH_PER_FRAME, _MAX_GROWTH = 1.6, 0.02, 2.2


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one frame, landmarks and all.

    Args:
        box: ``[4]`` from the points.
        points: ``[70, 2]`` pixels.
        confidence: 0..1.
        doubt: What the landmark check has against it (:mod:`thvideo.landmarks.doubt`).
    """

    box: F32Array
    points: F32Array
    confidence: float
    doubt: float = 0.0


@dataclass(eq=False)
class Tracklet:
    """A face seen in several key frames of one window, by the key's place in the window."""

    faces: dict[int, Face] = field(default_factory=dict)


def is_same_face(box: F32Array, other: F32Array, n_frames_lost: int = 0) -> bool:
    """Say whether two boxes can be one face, key frames apart.

    Args:
        box: ``[4]`` where the face was.
        other: ``[4]`` where a face is.
        n_frames_lost: How long nothing was seen: it may have moved on meanwhile.
    """
    return bool(_distance(box, other[None], n_frames_lost)[0] <= 1)


def match(box: F32Array, others: F32Array, n_frames_lost: int = 0) -> int | None:
    """Find the face that was in a box.

    Args:
        box: ``[4]`` where the face was.
        others: ``[N, 4]`` where faces are.
        n_frames_lost: How long nothing was seen.

    Returns:
        The index of the nearest one that can be it.
    """
    if len(others) == 0:
        return None
    distance = _distance(box, others, n_frames_lost)
    nearest = int(np.argmin(distance))
    return nearest if distance[nearest] <= 1 else None


def may_be_next(box: F32Array, others: F32Array) -> BoolArray:
    """Say of boxes ``[N, 4]`` which can be a face that was in a box up to two key frames before."""
    boxes = others.astype(np.float64)
    moved = np.hypot(boxes[:, 0] - box[0], boxes[:, 1] - box[1]) / float(box[2])
    grown = np.abs(np.log(boxes[:, 2] / float(box[2]))) / np.log(_GROWTH)
    return np.asarray((moved <= _REACH_SIDES * (1 + _GROWTH)) & (grown <= 2), dtype=bool)


def link(faces_by_key: dict[int, list[Face]]) -> list[Tracklet]:
    """Join the faces of several key frames into tracklets."""
    tracklets: list[Tracklet] = []
    for key in sorted(faces_by_key):
        left = list(faces_by_key[key])
        for tracklet in tracklets:
            last = tracklet.faces[max(tracklet.faces)]
            found = match(last.box, np.stack([f.box for f in left])) if left else None
            if found is not None:
                tracklet.faces[key] = left.pop(found)
        tracklets.extend(Tracklet({key: face}) for face in left)
    return tracklets


def interpolate_boxes(
    keys: Sequence[int], boxes: F32Array, places: Sequence[int] | F64Array
) -> F32Array:
    """Boxes between key frames: places in line, sizes by ratio, rolls the short way round.

    Args:
        keys: ``K`` places of the key frames, increasing.
        boxes: ``[K, 4]``; NaN rows are passed over.
        places: ``N`` places wanted; before the first and after the last box, it is held.

    Returns:
        ``[N, 4]``; NaN if there is no box at all.
    """
    known = np.isfinite(boxes).all(axis=1)
    wanted = np.asarray(places, dtype=np.float64)
    if not known.any():
        return np.full((len(wanted), 4), np.nan, dtype=np.float32)
    at = np.asarray(keys, dtype=np.float64)[known]
    box = boxes[known].astype(np.float64)
    columns = [box[:, 0], box[:, 1], np.log(box[:, 2]), np.unwrap(box[:, 3])]
    centre_x, centre_y, log_side, roll = (np.interp(wanted, at, column) for column in columns)
    return np.stack([centre_x, centre_y, np.exp(log_side), roll], axis=1).astype(np.float32)


def has_drifted(used: F32Array, seen: F32Array) -> BoolArray:
    """Say where a face lies so far off the box it was looked for in that a second look pays.

    Args:
        used: ``[N, 4]`` boxes given to the tracker.
        seen: ``[N, 4]`` boxes of the points it found.
    """
    moved = np.hypot(seen[:, 0] - used[:, 0], seen[:, 1] - used[:, 1]) > 0.15 * used[:, 2]
    grown = np.abs(np.log(seen[:, 2] / used[:, 2])) > np.log(1.25)
    turn = (seen[:, 3] - used[:, 3] + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(moved | grown | (np.abs(turn) > 0.3), dtype=bool)


def _distance(box: F32Array, others: F32Array, n_frames_lost: int) -> F64Array:
    """How far each box is from where the face can be: up to 1 it can."""
    reach = min(_REACH_SIDES + _REACH_SIDES_PER_FRAME * n_frames_lost, _MAX_REACH_SIDES)
    growth = min(_GROWTH + _GROWTH_PER_FRAME * n_frames_lost, _MAX_GROWTH)
    boxes = others.astype(np.float64)
    moved = np.hypot(boxes[:, 0] - box[0], boxes[:, 1] - box[1]) / (reach * float(box[2]))
    grown = np.abs(np.log(boxes[:, 2] / float(box[2]))) / np.log(growth)
    distance = np.maximum(moved, grown)
    return np.where(np.isfinite(distance), distance, np.inf)
