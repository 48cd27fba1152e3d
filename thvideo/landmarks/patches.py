"""Where mouth and eyes are in a picture, and their shapes: the patches of the foveal networks.

A patch turns and grows with the face: 80 pixels are the distance of the outer eye corners, so that
a mouth is twice as large as the whole picture's networks see it. Left eyes are mirrored: one
network draws both.

Shapes: B faces, h and w height and width of a patch in pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from thvideo.landmarks import schema
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.models.shown import EYE_SIZE, MOUTH_SIZE
from thvideo.shapes import F64Array, U8Array, check_shape

#: Pixels of a patch in the distance of the outer eye corners.
_EYES_PX = 80.0

#: The least distance of the outer eye corners, over that from between the eyes to the nose's base:
#: of turned heads it is foreshortened, and mouths are not larger for that.
_LEAST_EYES = 1.55

#: Radius of an iris over its eye's width.
_IRIS = 0.21

# Fixed-point places of OpenCV's drawing.
_SHIFT_BITS = 4


@dataclass(frozen=True)
class Place:
    """A part of the face that has a patch of its own.

    Args:
        size: Height and width of its patch in pixels, divisible by 8.
        centre: Landmarks whose mean is the patch's middle.
        outlines: Landmarks of the two outlines that are filled, the wider one first.
        lines: Landmarks of lines around it.
        iris: Landmark of the iris; None for a mouth.
        mirrored: Whether its patch is.
    """

    size: tuple[int, int]
    centre: slice
    outlines: tuple[slice, ...]
    lines: tuple[slice, ...]
    iris: int | None = None
    mirrored: bool = False


MOUTH = Place(
    MOUTH_SIZE,
    schema.OUTER_LIP,
    (schema.OUTER_LIP, schema.INNER_LIP),
    (schema.JAW, schema.NOSE_BASE),
)
RIGHT_EYE = Place(
    EYE_SIZE, schema.RIGHT_EYE, (schema.RIGHT_EYE,), (schema.RIGHT_BROW,), schema.RIGHT_IRIS
)
LEFT_EYE = Place(
    EYE_SIZE, schema.LEFT_EYE, (schema.LEFT_EYE,), (schema.LEFT_BROW,), schema.LEFT_IRIS, True
)
#: In the order of a frame's patches.
EYES = (RIGHT_EYE, LEFT_EYE)


def patch_frames(points: NDArray[np.floating], place: Place) -> F64Array:
    """Return where patches lie: from pixels of the picture to those of the patch.

    Args:
        points: ``[B, 70, 2]`` in pixels of the picture.
        place: Of which part of the face.

    Returns:
        ``[B, 2, 3]``.
    """
    check_shape(points, "B 70 2")
    points = np.asarray(points, np.float64)
    right, left = points[:, schema.RIGHT_EYE_OUTER], points[:, schema.LEFT_EYE_OUTER]
    between = (right + left) / 2
    down = np.linalg.norm(points[:, schema.NOSE_BASE].mean(axis=1) - between, axis=1)
    eyes = np.maximum(outer_eye_distance(points), np.maximum(_LEAST_EYES * down, 1.0))
    angle = np.arctan2(*(left - right).T[::-1])
    cos, sin = _EYES_PX / eyes * np.cos(angle), _EYES_PX / eyes * np.sin(angle)
    flip = -1.0 if place.mirrored else 1.0
    turn = np.stack([flip * cos, flip * sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    height, width = place.size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    centre = points[:, place.centre].mean(axis=1)
    shift = middle - np.einsum("bij,bj->bi", turn, centre)
    return np.concatenate([turn, shift[:, :, None]], axis=2)


def cut_patch(picture: U8Array, frame: F64Array, place: Place) -> U8Array:
    """Cut a patch ``[h, w, 3]`` out of a picture ``[F, G, 3]``; its edge goes on outside it.

    Pixels of pictures that are much finer are averaged first.
    """
    height, width = place.size
    box, back = covered(frame, place, picture.shape[:2])
    part = picture[box]
    to_patch = frame.copy()
    to_patch[:, 2] += frame[:, :2] @ [box[1].start, box[0].start]
    # How many pixels of the picture meet in one of the patch.
    n_met = int(np.linalg.norm(back[:, 0]))
    if n_met > 1:
        size = (max(1, part.shape[1] // n_met), max(1, part.shape[0] // n_met))
        grow = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        to_patch[:, 2] += to_patch[:, :2] @ (0.5 * grow - 0.5)
        to_patch[:, :2] *= grow
    edge = cv2.BORDER_REPLICATE
    cut = cv2.warpAffine(part, to_patch, (width, height), flags=cv2.INTER_LINEAR, borderMode=edge)
    return np.asarray(cut, np.uint8)


def covered(
    frame: F64Array, place: Place, size: tuple[int, ...]
) -> tuple[tuple[slice, slice], F64Array]:
    """Return the rows and columns of a picture that a patch covers, and the way back to it.

    Args:
        frame: ``[2, 3]`` of ``patch_frames``.
        place: Of which part of the face.
        size: Height and width of the picture.

    Returns:
        At least one row and one column, and ``[2, 3]`` from pixels of the patch to the picture's.
    """
    height, width = place.size
    back = np.asarray(cv2.invertAffineTransform(frame), np.float64)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) - 0.5
    found = corners @ back[:, :2].T + back[:, 2]
    # One pixel more: what lies between two is fetched from both.
    low, high = np.floor(found.min(axis=0)) - 1, np.ceil(found.max(axis=0)) + 2
    sides = []
    for axis, length in ((1, size[0]), (0, size[1])):
        start = int(np.clip(low[axis], 0, length - 1))
        sides.append(slice(start, int(np.clip(high[axis], start + 1, length))))
    return (sides[0], sides[1]), back


def draw_shapes(points: NDArray[np.floating], frames: F64Array, place: Place) -> U8Array:
    """Draw the shapes of lips or lids as colours.

    Red is the outer lips or the open eye, green the inner lips or the iris in the open eye, blue
    lines around them: jaw and nose, or the brow.

    Args:
        points: ``[B, 70, 2]`` in pixels of the picture; all known.
        frames: ``[B, 2, 3]`` of ``patch_frames``.
        place: Of which part of the face.

    Returns:
        ``[B, h, w, 3]``.
    """
    shapes = np.zeros((len(points), *place.size, 3), np.uint8)
    for shape, face, frame in zip(shapes, points, frames, strict=True):
        # Outlines far outside would overflow OpenCV's fixed-point numbers.
        local = np.clip(face @ frame[:, :2].T + frame[:, 2], -2000, 2000)
        planes = [np.zeros(place.size, np.uint8) for _ in range(3)]
        for plane, outline in zip(planes, place.outlines, strict=False):
            cv2.fillPoly(plane, [_fixed(local[outline])], 255, cv2.LINE_AA, _SHIFT_BITS)
        if place.iris is not None:
            lids = local[place.outlines[0]]
            radius = _IRIS * np.linalg.norm(lids[3] - lids[0])
            centre, size = _fixed(local[place.iris]).tolist(), round(radius * (1 << _SHIFT_BITS))
            cv2.circle(planes[1], centre, size, 255, -1, cv2.LINE_AA, _SHIFT_BITS)
            planes[1] = np.minimum(planes[0], planes[1])
        for line in place.lines:
            cv2.polylines(planes[2], [_fixed(local[line])], False, 255, 2, cv2.LINE_AA, _SHIFT_BITS)
        shape[...] = np.stack(planes, axis=2)
    return shapes


def most_open(sources: NDArray[np.floating], place: Place) -> int:
    """Return which of a person's faces ``[K, 70, 2]`` shows most of teeth, or of an eye.

    One source shows them in all frames: to change it from frame to frame would be seen.
    """
    return int(opening(sources, place).argmax())


def opening(points: NDArray[np.floating], place: Place) -> F64Array:
    """Return how far lips or lids of faces ``[B, 70, 2]`` are apart, in eye distances, ``[B]``."""
    if place.iris is None:
        pairs: tuple[tuple[int, int], ...] = ((61, 67), (62, 66), (63, 65))
    else:
        pairs = schema.LEFT_LIDS if place.mirrored else schema.RIGHT_LIDS
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in pairs]
    return np.asarray(np.mean(gaps, axis=0) / outer_eye_distance(points), np.float64)


def _fixed(points: F64Array) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT_BITS)).astype(np.int32, order="C")
