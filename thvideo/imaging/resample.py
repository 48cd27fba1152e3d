"""From a crop's pixels to those of the picture that it returns into."""

import cv2
import numpy as np
from PIL import Image

from thvideo.imaging.crop import Box
from thvideo.imaging.lookup import Pixels, four_channels, three_channels
from thvideo.shapes import F32Array, U8Array

Edges = tuple[float, float, float, float]

#: Pixels that lie no farther than this beside the picture's are the picture's.
_ON_PIXELS = 1e-3


def resample(image: U8Array, crop_box: Edges, box: Box) -> U8Array:
    """Bring a crop to the picture's pixels, averaging areas where it shrinks.

    Args:
        image: `[S, S, 3]`.
        crop_box: The region's edges in crop pixels, counted from the crop's edge.
        box: The region in the picture.

    Returns:
        `[h, w, 3]`.
    """
    step_x, step_y = _steps(crop_box, box)
    left, top = round(crop_box[0]), round(crop_box[1])
    if max(abs(step_x - 1), abs(step_y - 1)) * max(box.width, box.height) < _ON_PIXELS and (
        max(abs(crop_box[0] - left), abs(crop_box[1] - top)) < _ON_PIXELS
    ):
        return image[top : top + box.height, left : left + box.width]
    if max(step_x, step_y) > 1:
        shrunk = Image.fromarray(image).resize(
            (box.width, box.height), Image.Resampling.BICUBIC, box=crop_box
        )
        return np.asarray(shrunk, dtype=np.uint8)
    # Half as long as Pillow takes, and as sharp: cubic to twice the size, and linear from there.
    large = cv2.resize(four_channels(image), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return three_channels(_sampled(large, crop_box, box, 2.0))


def sample_linear(maps: F32Array, crop_box: Edges, box: Box, size_px: int) -> F32Array:
    """Bring smooth maps of the crop to the picture's pixels, linearly.

    Args:
        maps: `[s, s, C]`.
        crop_box: As for `resample`.
        box: As for `resample`.
        size_px: Side of the crop, which the maps cover at any size of their own.

    Returns:
        `[h, w, C]`, `[h, w]` for one channel.
    """
    return np.asarray(_sampled(maps, crop_box, box, maps.shape[0] / size_px), dtype=np.float32)


def _sampled(image: Pixels, crop_box: Edges, box: Box, image_px: float) -> Pixels:
    """Sample what has ``image_px`` pixels for each of the crop's at the region's pixels."""
    step_x, step_y = _steps(crop_box, box)
    matrix = np.array(
        [
            [step_x * image_px, 0, (crop_box[0] + step_x / 2) * image_px - 0.5],
            [0, step_y * image_px, (crop_box[1] + step_y / 2) * image_px - 0.5],
        ]
    )
    sampled: Pixels = cv2.warpAffine(
        image,
        matrix,
        (box.width, box.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return sampled


def _steps(crop_box: Edges, box: Box) -> tuple[float, float]:
    """Return the crop's pixels for one of the region's, across and down."""
    return (crop_box[2] - crop_box[0]) / box.width, (crop_box[3] - crop_box[1]) / box.height
