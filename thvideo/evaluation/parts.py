"""Figures of mouth and eyes alone: how much of their fine detail is drawn.

A picture's mean hides them, and they are what people look at. Both are cut out of drawn and true
frames at the true landmarks, in patches that turn and grow with the face.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from thvideo.landmarks.patches import (
    EYES,
    MOUTH,
    Place,
    cut_patch,
    draw_shapes,
    opening,
    patch_frames,
)
from thvideo.landmarks.schema import amid_eyes
from thvideo.shapes import BoolArray, F32Array, U8Array, check_shape

#: Frames count in which lips or lids are at least so far apart, over the outer-eye distance.
_MOUTH_OPEN, _EYE_OPEN = 0.08, 0.06


def part_details(frames: U8Array, truth: U8Array, points: F32Array) -> dict[str, F32Array]:
    """Measure the fine detail between lips and between lids.

    Args:
        frames: ``[T, S, S, 3]`` drawn.
        truth: The same shape.
        points: ``[T, 70, 2]`` the true landmarks.

    Returns:
        ``mouth_detail`` and ``eye_detail``, ``[1]``: the root mean square Laplacian over the true
        frames', over all frames in which they are open; NaN where they never are. 1 is as much as
        there is to see, more is noise or edges that are not there.
    """
    sizes = check_shape(frames, "T S S 3")
    check_shape(truth, "T S S 3", **sizes)
    check_shape(points, "T 70 2", T=sizes["T"])
    known = amid_eyes(points)
    parts = {
        "mouth_detail": _detail(frames, truth, known, (MOUTH,), _MOUTH_OPEN),
        "eye_detail": _detail(frames, truth, known, EYES, _EYE_OPEN),
    }
    return {name: np.array([value], np.float32) for name, value in parts.items()}


def mouths(frames: U8Array, points: F32Array) -> U8Array:
    """Cut the mouths out of frames ``[T, S, S, 3]`` at landmarks ``[T, 70, 2]``."""
    where = patch_frames(amid_eyes(points), MOUTH)
    return np.stack([cut_patch(*each, MOUTH) for each in zip(frames, where, strict=True)])


def whole_patch() -> BoolArray:
    """Return the mask of a mouth of which all counts."""
    return np.ones(MOUTH.size, np.bool_)


def _detail(
    frames: U8Array, truth: U8Array, points: np.ndarray, places: Sequence[Place], least: float
) -> float:
    drawn_sum = true_sum = 0.0
    for place in places:
        is_open = opening(points, place) >= least
        where = patch_frames(points[is_open], place)
        # Between the lips, or between the lids.
        inside = draw_shapes(points[is_open], where, place)[..., 1 if place is MOUTH else 0] > 127
        for frame, true, matrix, seen in zip(
            frames[is_open], truth[is_open], where, inside, strict=True
        ):
            drawn_sum += _squares(cut_patch(frame, matrix, place), seen)
            true_sum += _squares(cut_patch(true, matrix, place), seen)
    return float(np.sqrt(drawn_sum / true_sum)) if true_sum > 0 else float("nan")


def _squares(patch: U8Array, seen: BoolArray) -> float:
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)[seen]
    return float(np.square(laplacian, dtype=np.float64).sum())
