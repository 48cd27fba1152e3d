"""Whether faces stand upright, and turning a driver's landmarks by quarters until they do.

Shapes: T frames.
"""

from collections.abc import Sequence

import numpy as np

from thvideo.imaging.turn import points_upright, quarter_of
from thvideo.landmarks.gaps import shot_bounds
from thvideo.landmarks.schema import LEFT_EYE, RIGHT_EYE
from thvideo.landmarks.similarity import to_complex
from thvideo.landmarks.tracker import box_from_points
from thvideo.shapes import BoolArray, F32Array, F64Array

#: Of a picture whose corner lies in the origin: where the points come to lie does not matter.
_ANYWHERE = (1, 1)


def turns_deg(points: F32Array) -> F32Array:
    """Return by how many degrees, 0 to 180, faces ``[T, 70, 2]`` are turned; NaN where unknown."""
    return np.asarray(np.abs(np.degrees(box_from_points(points)[:, 3])), np.float32)


def stand(points: F32Array) -> BoolArray:
    """Say of faces ``[T, 70, 2]`` whether they are nearer to upright than to lying on a side."""
    return np.asarray(turns_deg(points) <= 45, np.bool_)


def shots_upright(points: F64Array, cuts: Sequence[int]) -> F64Array:
    """Turn every shot by the quarter in which its faces lie, on the average.

    A camera that lay on its side films as one that stood: what is measured of a face does not
    depend on it, and a motion taken over as it is does not lay the source on its side.

    Args:
        points: ``[T, 70, 2]``.
        cuts: First frames of new shots.

    Returns:
        ``[T, 70, 2]``, the same array where nothing is turned.
    """
    turned = points
    for first, end in shot_bounds(cuts, len(points)):
        shot = to_complex(points[first:end])
        across = shot[:, LEFT_EYE].mean(axis=1) - shot[:, RIGHT_EYE].mean(axis=1)
        quarter = quarter_of(float(np.angle((across / np.abs(across)).mean())))
        if quarter:
            turned = turned.copy() if turned is points else turned
            turned[first:end] = points_upright(points[first:end], quarter, _ANYWHERE)
    return turned
