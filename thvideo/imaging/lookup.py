"""Fetching pixels on the processor: as exact as torch's sampler, and several times as fast.

OpenCV is fastest with four channels, so pictures come here with an idle fourth.
"""

from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from thvideo.shapes import F32Array, U8Array

if TYPE_CHECKING:
    from torch import Tensor

Pixels = TypeVar("Pixels", U8Array, F32Array)


def four_channels(picture: U8Array) -> U8Array:
    """Give a picture ``[H, W, 3]`` an idle fourth channel."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)


def three_channels(picture: U8Array) -> U8Array:
    """Take the idle channel of ``[H, W, 4]`` away again."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), np.uint8)


def look_up(picture: Pixels, x: F32Array, y: F32Array) -> Pixels:
    """Fetch a picture ``[S, R, 4]`` at pixels ``[H, W]``; beyond it its edge is repeated."""
    found: Pixels = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


def sample(images: F32Array, x: "Tensor", y: "Tensor") -> "Tensor":
    """Fetch images at places, for each frame its own.

    Args:
        images: ``[B, S, R, 4]``, or ``[1, S, R, 4]`` for all frames.
        x: ``[B, H, W]`` in pixels.
        y: The same.

    Returns:
        ``[B, 3, H, W]``.
    """
    planes = x.new_empty(len(x), 3, *x.shape[1:])
    for index, (columns, rows) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        found = look_up(images[min(index, len(images) - 1)], columns, rows)
        cv2.mixChannels([found], list(planes[index].numpy()), [0, 0, 1, 1, 2, 2])
    return planes
