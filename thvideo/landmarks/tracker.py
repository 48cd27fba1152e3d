"""The tracker interface: pictures in, face boxes and 70 landmarks out.

Shapes: T frames (or crops), N faces, H and W picture height and width. Points are (x, y) in
pixels with pixel centres at whole numbers; pictures are RGB, uint8.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from thvideo.shapes import F32Array, U8Array

_RIGHT_EYE = slice(36, 42)
_LEFT_EYE = slice(42, 48)
_N_IBUG = 68


class Tracker(Protocol):
    """Finds faces and their landmarks; implementations differ in the networks behind them.

    ``clear`` is the confidence in the landmarks of a clear face, seen upright.
    """

    name: str
    clear: float

    def detect(self, frames: U8Array, near: F32Array | None = None) -> list[F32Array]:
        """Find the faces of every frame.

        Args:
            frames: `[T, H, W, 3]` RGB.
            near: `[4]` box of a face shortly before, as `landmarks` takes it: what cannot be that
                face may be left out of a frame in which something can.

        Returns:
            One `[N, 5]` array per frame: x0, y0, x1, y1 in pixels and a score in 0..1, best
            first. A box is tight: the bounding box of the landmarks, brows to chin.
        """
        ...

    def landmarks(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array]:
        """Place 70 points on one face per frame.

        Args:
            frames: `[T, H, W, 3]` RGB.
            boxes: `[T, 4]` centre x, centre y, side (pixels) and roll (radians: the angle by
                which the face is turned in the picture); NaN rows where there is no face.

        Returns:
            Points `[T, 70, 2]` in pixels (NaN where unknown) and confidence `[T]` in 0..1.
        """
        ...

    def observe(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array, F32Array]:
        """Place points as `landmarks` does, and say how likely the mouth is covered.

        Args:
            frames: `[T, H, W, 3]` RGB.
            boxes: `[T, 4]`.

        Returns:
            What `landmarks` returns, and `[T]` logarithms of the odds that something covers the
            mouth, NaN where the tracker cannot tell.
        """
        ...


def box_from_detection(detection: NDArray[Any]) -> F32Array:
    """Turn corner boxes into centre boxes.

    Args:
        detection: `[..., 4]` to `[..., 6]`: x0, y0, x1, y1 in pixels, and perhaps a score and a
            roll in radians.

    Returns:
        `[..., 4]` centre x, centre y, side (the longer one), roll (0 if none is given); NaN stays
        NaN.
    """
    given = np.asarray(detection, dtype=np.float32)
    low, high = given[..., :2], given[..., 2:4]
    centre = (low + high) / 2
    side = (high - low).max(axis=-1, keepdims=True)
    roll = given[..., 5:6] if given.shape[-1] > 5 else np.zeros_like(side)
    return np.concatenate([centre, side, roll + 0 * side], axis=-1)


def box_from_points(points: NDArray[Any]) -> F32Array:
    """Fit an upright box in the face's own frame: the box for a precise second pass.

    The irises are not used, so they may be NaN. Any other NaN point makes the row NaN.

    Args:
        points: `[T, 70, 2]` (or `[T, 68, 2]`) pixels.

    Returns:
        `[T, 4]` centre x, centre y, side (pixels) and roll (radians) from the line between
        the two eyes.
    """
    ibug = np.asarray(points, dtype=np.float32)[:, :_N_IBUG]
    across = ibug[:, _LEFT_EYE].mean(axis=1) - ibug[:, _RIGHT_EYE].mean(axis=1)
    roll = np.arctan2(across[:, 1], across[:, 0])
    cos, sin = np.cos(roll), np.sin(roll)
    turned_x = ibug[..., 0] * cos[:, None] + ibug[..., 1] * sin[:, None]
    turned_y = ibug[..., 1] * cos[:, None] - ibug[..., 0] * sin[:, None]
    low_x, high_x = turned_x.min(axis=1), turned_x.max(axis=1)
    low_y, high_y = turned_y.min(axis=1), turned_y.max(axis=1)
    mid_x, mid_y = (low_x + high_x) / 2, (low_y + high_y) / 2
    side = np.maximum(high_x - low_x, high_y - low_y)
    box = np.stack([mid_x * cos - mid_y * sin, mid_x * sin + mid_y * cos, side, roll], axis=-1)
    return np.asarray(box, dtype=np.float32)
