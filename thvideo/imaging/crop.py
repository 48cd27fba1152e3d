"""Cut an upright square out of a picture, and map points between the two exactly.

Pixel centres lie at whole numbers in the picture and in the crop, points are (x, y). A crop of
``side_px`` picture pixels reaches half a side from its centre in every direction, so its first
pixel's centre lies half a crop pixel inside its edge.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thvideo.shapes import F64Array, U8Array, check_shape

# The crop's side over the face's height from brows to chin. The training clips have 2.27; the
# rest is room for the head to move before it meets the fixed border of the warp.
FACE_SCALE = 2.8
# How far the crop's centre lies above the middle of the face points, in face heights: hair
# needs more room than the neck (0.2 in the training clips).
FACE_LIFT = 0.26
# A crop for several sets of points leaves this much room around all of them.
UNION_SCALE = 1.6

# Sides of crops that are as large as the output shows them: at least, where the picture holds as
# much, and at most, for what a frame costs; whole steps of these pixels.
LEAST_SHOWN_PX, MOST_SHOWN_PX, _SHOWN_STEP = 512, 1024, 8
# No generator draws smaller crops well.
_SMALLEST_PX = 128

CHIN = 8
BROWS = slice(17, 27)


@dataclass(frozen=True)
class Crop:
    """An upright square of a picture, resampled to ``size_px`` by ``size_px``.

    Args:
        centre_x: Centre in picture pixels.
        centre_y: Centre in picture pixels.
        side_px: Side in picture pixels.
        size_px: Side of the resampled crop.
    """

    centre_x: float
    centre_y: float
    side_px: float
    size_px: int

    @property
    def scale(self) -> float:
        """Crop pixels for one picture pixel."""
        return self.size_px / self.side_px

    @property
    def left(self) -> float:
        """Left edge in picture coordinates."""
        return self.centre_x - self.side_px / 2

    @property
    def top(self) -> float:
        """Upper edge in picture coordinates."""
        return self.centre_y - self.side_px / 2


class Box(NamedTuple):
    """Whole pixels ``x0 <= x < x1`` and ``y0 <= y < y1``; as an array `[4]` in this order."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def height(self) -> int:
        """Rows inside."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Columns inside."""
        return self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a picture with."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def crop_for_face(
    points: NDArray[np.floating],
    size_px: int,
    scale: float = FACE_SCALE,
    lift: float = FACE_LIFT,
) -> Crop:
    """Choose the crop that holds a head, its hair and some of the shoulders and background.

    Args:
        points: `[70, 2]` landmarks, or `[N, 70, 2]` where one crop has to serve several; NaN
            points are left out.
        size_px: Side of the resampled crop.
        scale: The crop's side over the face's size.
        lift: How far the crop's centre lies above the face's middle, in face sizes.

    Raises:
        ValueError: No frame has a face with a finite chin, brows and extent.
    """
    frames = np.asarray(points, dtype=np.float64)
    frames = frames[None] if frames.ndim == 2 else frames
    check_shape(frames, "N 70 2")
    frames = frames[np.isfinite(frames[:, :68]).all(axis=(1, 2))]
    if len(frames) == 0:
        raise ValueError("no finite landmarks to choose a crop from")
    frames = frames[:, :68]
    low, high = frames.min(axis=1), frames.max(axis=1)  # [N, 2]
    face_px = float(np.median((high - low).max(axis=1)))
    union_px = float((high.max(axis=0) - low.min(axis=0)).max())
    if face_px <= 0:
        raise ValueError("the landmarks have no extent")
    up = frames[:, BROWS].mean(axis=1) - frames[:, CHIN]
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    middle = (high.max(axis=0) + low.min(axis=0)) / 2
    centre = middle + lift * face_px * up.mean(axis=0)
    side = max(scale * face_px, UNION_SCALE * union_px)
    return Crop(float(centre[0]), float(centre[1]), side, size_px)


def to_crop(points: NDArray[np.floating], crop: Crop) -> F64Array:
    """Map picture points `[..., 2]` to crop points."""
    centre = np.array([crop.centre_x, crop.centre_y])
    offset: F64Array = np.asarray(points, dtype=np.float64) - centre
    return offset * crop.scale + (crop.size_px - 1) / 2


def scale_crop(crop: Crop, factor: float) -> Crop:
    """Return the crop of the same content in a picture resized by ``factor``.

    A picture's edge lies half a pixel outside its first pixel's centre, and it is the edges
    that a resize keeps in place.
    """
    return Crop(
        (crop.centre_x + 0.5) * factor - 0.5,
        (crop.centre_y + 0.5) * factor - 0.5,
        crop.side_px * factor,
        crop.size_px,
    )


def crop_as_shown(crop: Crop, scale: float) -> Crop:
    """Return nearly the same crop with the pixels of a picture resized by ``scale``.

    Its pixels lie on those of the resized picture, so that nothing is resampled to cut it out or to
    put it back. Small faces and huge ones get `LEAST_SHOWN_PX` or `MOST_SHOWN_PX` instead, and lie
    as they did.

    Args:
        crop: In pixels of the picture.
        scale: Of the output's pixels for the picture's, at most 1.
    """
    shown_px = max(_SHOWN_STEP, round(crop.side_px * scale / _SHOWN_STEP) * _SHOWN_STEP)
    # No larger than the picture holds, where that is less.
    least = min(LEAST_SHOWN_PX, max(shown_px, round(crop.side_px / _SHOWN_STEP) * _SHOWN_STEP))
    size_px = min(MOST_SHOWN_PX, max(_SMALLEST_PX, least, shown_px))
    if size_px != shown_px:
        return Crop(crop.centre_x, crop.centre_y, crop.side_px, size_px)
    return _on_pixels(crop, scale, shown_px)


def _on_pixels(crop: Crop, scale: float, size_px: int) -> Crop:
    def snapped(centre: float) -> float:
        shown = (centre + 0.5) * scale - 0.5
        # The first pixel's centre is a whole number.
        first = round(shown - size_px / 2 + 0.5)
        return (first + size_px / 2) / scale - 0.5

    return Crop(snapped(crop.centre_x), snapped(crop.centre_y), size_px / scale, size_px)


def valid_box(crop: Crop, height: int, width: int) -> Box:
    """Return the crop pixels that lie wholly inside a picture of the given size."""
    # The picture's content reaches from -0.5 to its size less 0.5.
    edges = to_crop(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]), crop) + 0.5
    whole = [*np.ceil(edges[0] - 1e-6), *np.floor(edges[1] + 1e-6)]
    x0, y0, x1, y1 = (int(np.clip(value, 0, crop.size_px)) for value in whole)
    return Box(x0, y0, max(x0, x1), max(y0, y1))


def take_crop(picture: U8Array, crop: Crop) -> tuple[U8Array, Box]:
    """Cut a crop out of a picture.

    A cubic filter at sub-pixel accuracy; where the crop is smaller than its place in the picture
    the filter widens to average the area (no aliasing). Beyond the picture its edge is repeated.

    Args:
        picture: `[H, W, 3]` RGB.
        crop: What to cut.

    Returns:
        `[S, S, 3]` RGB, and the box of the crop that lies inside the picture.
    """
    check_shape(picture, "H W 3")
    height, width = picture.shape[:2]
    # Two pixels of filter on each side, widened with the reduction, and one for rounding.
    margin = int(np.ceil(2 * max(1.0, 1 / crop.scale))) + 1
    x0, y0 = int(np.floor(crop.left)) - margin, int(np.floor(crop.top)) - margin
    x1 = int(np.ceil(crop.left + crop.side_px)) + margin + 1
    y1 = int(np.ceil(crop.top + crop.side_px)) + margin + 1
    rows = slice(*np.clip([y0, y1], 0, height))
    columns = slice(*np.clip([x0, x1], 0, width))
    if rows.start == rows.stop or columns.start == columns.stop:
        raise ValueError(f"the crop {crop} lies outside the picture of {height} x {width} pixels")
    # Indexing with clipped positions cuts and repeats the edge in one step.
    wanted_y = np.clip(np.arange(y0, y1), 0, height - 1)
    wanted_x = np.clip(np.arange(x0, x1), 0, width - 1)
    region = picture[wanted_y[:, None], wanted_x[None, :]]
    # Pillow counts from a pixel's edge, we from its centre.
    left, top = crop.left - x0 + 0.5, crop.top - y0 + 0.5
    resized = Image.fromarray(region).resize(
        (crop.size_px, crop.size_px),
        Image.Resampling.BICUBIC,
        box=(left, top, left + crop.side_px, top + crop.side_px),
    )
    return np.asarray(resized, dtype=np.uint8).copy(), valid_box(crop, height, width)
