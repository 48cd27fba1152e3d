"""Turn pictures by quarters, and points with them, exactly.

A quarter is 0 to 3: how often a picture's content has been turned by 90 degrees clockwise, as the
viewer sees it. Pixel centres lie at whole numbers, points are (x, y).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thvideo.shapes import F64Array, U8Array


def quarter_of(roll: float) -> int:
    """Return the quarter that is nearest to a turn clockwise in radians."""
    return round(roll / (np.pi / 2)) % 4


def turn_upright(pictures: U8Array, quarter: int) -> U8Array:
    """Turn pictures ``[..., H, W, 3]`` whose content is turned by a quarter so that it is not."""
    return np.ascontiguousarray(np.rot90(pictures, quarter, axes=(-3, -2)))


def turn_back(pictures: U8Array, quarter: int) -> U8Array:
    """Undo :func:`turn_upright`."""
    return turn_upright(pictures, -quarter % 4)


def points_upright(points: NDArray[Any], quarter: int, size: tuple[int, int]) -> F64Array:
    """Bring points into the picture that :func:`turn_upright` makes.

    Args:
        points: ``[..., 2]``.
        quarter: As given there.
        size: (height, width) of the picture before.
    """
    turned = np.array(points, np.float64)
    height, width = size
    for _ in range(quarter % 4):
        turned = np.stack([turned[..., 1], width - 1 - turned[..., 0]], axis=-1)
        height, width = width, height
    return turned


def points_back(points: NDArray[Any], quarter: int, size: tuple[int, int]) -> F64Array:
    """Undo :func:`points_upright`; ``size`` is still that of the picture before."""
    height, width = size
    upright = (height, width) if quarter % 2 == 0 else (width, height)
    return points_upright(points, -quarter % 4, upright)
