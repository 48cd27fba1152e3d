"""The landmark image: what the generator is shown of a pose and an expression."""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from thvideo.landmarks import schema
from thvideo.landmarks.control import head_outline
from thvideo.shapes import U8Array, check_shape

#: Raised whenever the picture drawn for the same points changes; kept in every checkpoint.
DRAW_STYLE = 1

# cv2 takes fixed-point coordinates: 4 bits are a sixteenth of a pixel.
_SHIFT_BITS = 4
_THICKNESS_AT_256_PX = 2.0
_PUPIL_RADIUS_AT_256_PX = 2.5

# A head's edge is blurred by this share of the picture's side.
_HEAD_EDGE = 1 / 64


@dataclass(frozen=True)
class _Line:
    points: slice
    closed: bool
    colour: tuple[int, int, int]


# Colours of arXiv:1905.08233 as read from its figures; inner lip and pupils are ours: without
# them an image says little about articulation and nothing about gaze.
_LINES = (
    _Line(schema.JAW, False, (255, 255, 255)),
    _Line(schema.RIGHT_BROW, False, (255, 0, 0)),
    _Line(schema.LEFT_BROW, False, (0, 255, 0)),
    _Line(schema.NOSE_BRIDGE, False, (0, 0, 255)),
    _Line(schema.NOSE_BASE, False, (0, 0, 255)),
    _Line(schema.RIGHT_EYE, True, (255, 0, 255)),
    _Line(schema.LEFT_EYE, True, (0, 255, 255)),
    _Line(schema.OUTER_LIP, True, (255, 255, 0)),
    _Line(schema.INNER_LIP, True, (255, 128, 0)),
)
_PUPILS = ((schema.RIGHT_IRIS, (255, 128, 255)), (schema.LEFT_IRIS, (128, 255, 255)))


def draw_heads(points: NDArray[np.floating], size_px: int) -> U8Array:
    """Draw where heads are, soft at their edges.

    Args:
        points: ``[B, 70, 2]`` in pixels of the picture drawn.
        size_px: Side of the picture.

    Returns:
        ``[B, S, S]``, 255 within the head.
    """
    check_shape(points, "B 70 2")
    heads = np.zeros((len(points), size_px, size_px), np.uint8)
    for head, face in zip(heads, points, strict=True):
        corners = np.round(head_outline(face) * (1 << _SHIFT_BITS)).astype(np.int32)
        cv2.fillConvexPoly(head, corners, 255, cv2.LINE_AA, _SHIFT_BITS)
        head[...] = soft_edged(head)
    return heads


def soft_edged(head: U8Array) -> U8Array:
    """Blur the edge of a head that is drawn ``[S, S]``."""
    return np.asarray(cv2.GaussianBlur(head, (0, 0), _HEAD_EDGE * len(head)), np.uint8)


def draw_landmarks(points: NDArray[np.floating], size: tuple[int, int]) -> U8Array:
    """Draw landmarks as coloured lines on black (section 3.1 of arXiv:1905.08233).

    Different from the paper: the inner lip and the pupils are drawn too. Lines are
    antialiased and as thick as 2 px at 256 px.

    Args:
        points: ``[B, 70, 2]`` (x, y) in pixels of the picture drawn. A segment with an
            unknown (NaN) end is left out.
        size: Height and width of the picture in pixels.

    Returns:
        Pictures ``[B, H, W, 3]``, RGB in 0..255.
    """
    check_shape(points, "B 70 2")
    height, width = size
    scale = min(height, width) / 256
    thickness = max(1, round(_THICKNESS_AT_256_PX * scale))
    radius = round(max(1.0, _PUPIL_RADIUS_AT_256_PX * scale) * 2**_SHIFT_BITS)
    pictures = np.zeros((len(points), height, width, 3), dtype=np.uint8)
    known = np.isfinite(points).all(axis=-1)
    # Points far outside would overflow cv2's fixed-point numbers: their lines leave all the same.
    bounded = np.clip(np.where(known[..., None], points, 0), -16 * max(size), 16 * max(size))
    # Mirrored faces can come in another order of memory, which cv2 does not take.
    fixed = np.round(bounded * 2**_SHIFT_BITS).astype(np.int32, order="C")
    for picture, place, is_known in zip(pictures, fixed, known, strict=True):
        for line in _LINES:
            _draw_line(picture, place[line.points], is_known[line.points], line, thickness)
        for index, colour in _PUPILS:
            if is_known[index]:
                centre = (int(place[index, 0]), int(place[index, 1]))
                cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA, _SHIFT_BITS)
    return pictures


def _draw_line(
    picture: U8Array,
    points: NDArray[np.int32],
    known: NDArray[np.bool_],
    line: _Line,
    thickness: int,
) -> None:
    if known.all():
        paths, closed = [points], line.closed
    else:
        order = np.arange(len(points) + int(line.closed)) % len(points)
        paths = [points[[a, b]] for a, b in itertools.pairwise(order) if known[a] and known[b]]
        closed = False
    if paths:
        cv2.polylines(picture, paths, closed, line.colour, thickness, cv2.LINE_AA, _SHIFT_BITS)
