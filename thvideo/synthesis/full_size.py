"""From what the swift networks drew small to the crop's own size, with the source's own detail.

What stays still is the source crop's own. The networks' correction is added on top, and where it is
strong the moved crop's fine detail gives way to it. All of it is the processor's work, on bytes:
what comes from the device is small.
"""

import cv2
import numpy as np
import torch

from thvideo.models.shown import Drawn
from thvideo.shapes import F32Array, U8Array

#: Where the correction changes a pixel by less than the first the source's detail stays whole,
#: by more than the second none of it does; in the range -1..1 of pictures.
_DETAIL_STAYS, _DETAIL_GONE = 0.06, 0.30

#: The correction is averaged over this many pixels before it is weighed against the detail.
_DETAIL_CELL = 5


def resized(picture: U8Array, side_px: int) -> U8Array:
    """Bring ``[S, S, 3]`` to ``[side, side, 3]``: averaged where that is smaller."""
    if picture.shape[0] == side_px:
        return picture
    smooth = cv2.INTER_AREA if picture.shape[0] > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=smooth), np.uint8)


def in_full(moved: U8Array, still: U8Array, drawn: Drawn, cast: F32Array) -> U8Array:
    """Bring drawn frames to full size.

    Args:
        moved: ``[B, S, S, 3]`` the source crops, moved as the drafts were and the networks then
            moved these.
        still: ``[S, S, 3]`` the first source crop.
        drawn: The same frames as the networks drew them, ``[B, 3, s, s]``, without their cast.
        cast: ``[3]`` what the networks' pictures were multiplied by.

    Returns:
        ``[B, S, S, 3]``.
    """
    assert drawn.warped is not None and drawn.stays is not None
    corrections = (drawn.image.float() - drawn.warped.float()).permute(0, 2, 3, 1).cpu()
    corrections = corrections / torch.from_numpy(cast)
    stays = drawn.stays[:, 0].float().cpu().numpy()
    frames = np.empty_like(moved)
    for index, full in enumerate(moved):
        if stays[index].any():
            share = cv2.resize(stays[index], full.shape[:2], interpolation=cv2.INTER_LINEAR)
            full = np.asarray(cv2.blendLinear(still, full, share, 1 - share), np.uint8)
        frames[index] = _corrected(full, np.ascontiguousarray(corrections[index].numpy()))
    return frames


def _corrected(full: U8Array, correction: F32Array) -> U8Array:
    """Add a correction ``[s, s, 3]`` in -1..1 to a picture ``[S, S, 3]``."""
    size, side_px = full.shape[:2], len(correction)
    if size[0] > side_px:
        red, green, blue = np.moveaxis(np.abs(correction), 2, 0)
        # Not mean(axis=2): along so short an axis it takes ten times as long.
        strength = cv2.blur(
            (red + green + blue) / 3,
            (_DETAIL_CELL, _DETAIL_CELL),
            borderType=cv2.BORDER_CONSTANT,
        )
        gone = np.clip((strength - _DETAIL_STAYS) / (_DETAIL_GONE - _DETAIL_STAYS), 0, 1)
        full = _without_detail(full, gone)
    smooth = cv2.INTER_LINEAR if size[0] > side_px else cv2.INTER_AREA
    raised = cv2.resize(127.5 * correction, size, interpolation=smooth)
    return np.asarray(cv2.add(full, raised, dtype=cv2.CV_8U), np.uint8)


def _without_detail(full: U8Array, gone: F32Array) -> U8Array:
    """Take so much ``[s, s]`` of the fine detail from a picture ``[S, S, 3]``."""
    rows, columns = (np.flatnonzero(gone.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return full
    size, side_px = len(full), len(gone)
    coarse = resized(full, side_px)
    # Interpolation reaches one cell farther; most of the picture is as it was.
    low = np.maximum([rows[0] - 1, columns[0] - 1], 0)
    high = np.minimum([rows[-1] + 2, columns[-1] + 2], side_px)
    place = [
        slice(int(np.ceil(a * size / side_px)), int(b * size / side_px))
        for a, b in zip(low, high, strict=True)
    ]
    y, x = ((np.arange(p.start, p.stop) + 0.5) * (side_px / size) - 0.5 for p in place)
    where = [np.ascontiguousarray(axis, np.float32) for axis in np.meshgrid(x, y)]
    edge = cv2.BORDER_REPLICATE
    share, soft = (
        cv2.remap(each, where[0], where[1], cv2.INTER_LINEAR, borderMode=edge)
        for each in (gone, coarse)
    )
    full = full.copy()
    part = np.ascontiguousarray(full[place[0], place[1]])
    full[place[0], place[1]] = cv2.blendLinear(part, soft, 1 - share, share)
    return full
