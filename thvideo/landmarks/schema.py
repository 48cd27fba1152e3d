"""What each of the 70 landmarks is: the 68 iBUG points, then the two iris centres.

Right and left are the person's own: the person's right eye is on the left of the picture.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

N_POINTS = 70
N_IBUG_POINTS = 68

JAW = slice(0, 17)
RIGHT_BROW = slice(17, 22)
LEFT_BROW = slice(22, 27)
NOSE = slice(27, 36)
NOSE_BRIDGE = slice(27, 31)
NOSE_BASE = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
OUTER_LIP = slice(48, 60)
INNER_LIP = slice(60, 68)
MOUTH = slice(48, 68)
RIGHT_IRIS = 68
LEFT_IRIS = 69
IRISES = slice(68, 70)

NOSE_TIP = 30
CHIN = 8
RIGHT_EYE_OUTER, RIGHT_EYE_INNER = 36, 39
LEFT_EYE_INNER, LEFT_EYE_OUTER = 42, 45
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 48, 54
UPPER_LIP_INNER, LOWER_LIP_INNER = 62, 66

#: Upper and lower lid points that lie above each other, of the right and the left eye.
RIGHT_LIDS = ((37, 41), (38, 40))
LEFT_LIDS = ((43, 47), (44, 46))

_FLIP_PAIRS = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31 + i, 35 - i) for i in range(2)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56)),
    *((60, 64), (61, 63), (67, 65)),
    *((68, 69),),
)


def _flip_order() -> NDArray[np.int64]:
    order = np.arange(N_POINTS)
    for a, b in _FLIP_PAIRS:
        order[a], order[b] = b, a
    order.setflags(write=False)
    return order


#: Order of the points after a mirror: ``mirrored = points[..., FLIP, :]`` once x is mirrored.
FLIP = _flip_order()


def flip_points(points: NDArray[Any], width_px: float) -> NDArray[Any]:
    """Mirror landmarks as a picture is mirrored left to right.

    Args:
        points: ``[..., 70, 2]`` in pixels; pixel centres lie at whole numbers.
        width_px: Width of the picture.

    Returns:
        The mirrored points ``[..., 70, 2]``, each at its own name's place again.
    """
    mirrored = points[..., FLIP, :].copy()
    mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
    return mirrored


def outer_eye_distance(points: NDArray[Any]) -> NDArray[Any]:
    """Return the distance of the outer eye corners, the usual measure of a face's size.

    Args:
        points: ``[..., 70, 2]`` in pixels.

    Returns:
        Distances ``[...]`` in pixels; NaN where a corner is unknown.
    """
    difference = points[..., LEFT_EYE_OUTER, :] - points[..., RIGHT_EYE_OUTER, :]
    distance: NDArray[Any] = np.linalg.norm(difference, axis=-1)
    return distance


def amid_eyes(points: NDArray[Any]) -> NDArray[np.float64]:
    """Put unknown irises amid their eyes.

    Args:
        points: ``[B, 70, 2]``.

    Returns:
        A copy, in double precision.
    """
    points = np.array(points, np.float64)
    for iris, eye in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        lost = ~np.isfinite(points[:, iris]).all(axis=1)
        points[lost, iris] = points[lost, eye].mean(axis=1)
    return points
