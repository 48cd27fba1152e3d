"""Return drawn crops into the picture, without a seam and without losing its detail.

The crop is not pasted: its *difference* to the untouched source crop is added to the picture,

    out = picture + mask * (wakes * (drawn - source) - moves * (picture - source))

with ``drawn`` and ``source`` resampled to the picture's pixels. Where nothing happens ``wakes`` and
``moves`` are 0 and the picture keeps every pixel. Where a little changes, the picture's detail
that the crop's resolution cannot hold stays. Where something moves both are 1 and the drawn crop
stands alone, with no ghost of what was there before.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from thvideo.imaging.colour import rim_offset
from thvideo.imaging.crop import Box, Crop
from thvideo.imaging.resample import Edges, resample, sample_linear
from thvideo.shapes import F32Array, I16Array, U8Array, check_shape

# The mask rises from the crop's border to 1 over this share of the side.
FEATHER = 0.06
# Differences in steps of 1/255, averaged over a small neighbourhood. Below the first nothing
# moves and the crops' own compression is all there is; above the last all is new.
WAKES_ABOVE, RESTS_BELOW, MOVES_ABOVE = 0.6, 2.0, 7.0
# The neighbourhood's sigma over the crop's side: smooth skin beside a moving eye moves too.
NEIGHBOURHOOD = 1 / 40
# Movement is judged on a map this many times smaller than the crop.
MAP_STEP = 4
# A colour offset below half a step of 1/255 would round to nothing.
SMALLEST_OFFSET = 0.5
# A weight of 1 among whole numbers.
_WHOLE = 1 << 14


@dataclass(frozen=True)
class OutputPlan:
    """Size of the output frames.

    Args:
        height: Even, pixels.
        width: Even, pixels.
        scale: Output pixels for one pixel of the picture, at most 1.
    """

    height: int
    width: int
    scale: float


@dataclass(frozen=True)
class Paste:
    """Everything about one picture and crop that does not change from frame to frame.

    Args:
        box: The part of the picture that is recomputed.
        picture: `[H, W, 3]` the resting picture.
        source: `[S, S, 3]` the untouched crop.
        resampled: `[h, w, 3]` the untouched crop at the picture's pixels.
        detail: `[h, w, 3]` the resting picture less that; None where they are the same.
        mask: `[h, w]` how much of the drawn crop is seen.
        rim: `[S, S]` weight of the crop's pixels where colours must agree.
        crop_box: The region's edges in crop pixels, counted from the crop's edge.
    """

    box: Box
    picture: U8Array
    source: U8Array
    resampled: U8Array
    detail: I16Array | None
    mask: F32Array
    rim: F32Array
    crop_box: Edges


def output_plan(height: int, width: int, max_side: int) -> OutputPlan:
    """Choose even output sizes with the longer side at most ``max_side``, never enlarged.

    The scale is the same in both directions and exact; the odd last row or column is dropped.

    Args:
        height: Of the picture, pixels.
        width: Of the picture, pixels.
        max_side: Limit for the longer side, pixels.
    """
    limit = max_side // 2 * 2
    scale = min(1.0, limit / max(height, width))
    even = [max(2, int(side * scale + 1e-6) // 2 * 2) for side in (height, width)]
    return OutputPlan(even[0], even[1], scale)


def resize_to_plan(picture: U8Array, plan: OutputPlan) -> U8Array:
    """Reduce a picture to the plan's size; unchanged pixels where the scale is 1.

    Args:
        picture: `[H, W, 3]` RGB.
        plan: From `output_plan` for this picture's size.

    Returns:
        `[plan.height, plan.width, 3]` RGB.
    """
    check_shape(picture, "H W 3")
    if plan.scale == 1.0:
        return np.ascontiguousarray(picture[: plan.height, : plan.width])
    edges = (0.0, 0.0, plan.width / plan.scale, plan.height / plan.scale)
    limits = (0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))
    box = tuple(min(edge, limit) for edge, limit in zip(edges, limits, strict=True))
    image = Image.fromarray(picture).resize(
        (plan.width, plan.height),
        Image.Resampling.LANCZOS,
        box=(box[0], box[1], box[2], box[3]),
    )
    return np.asarray(image, dtype=np.uint8).copy()


def inner_box(valid: Box) -> Box:
    """Return the largest box of even sides inside ``valid``, for showing the crop alone."""
    return Box(
        valid.x0,
        valid.y0,
        valid.x0 + valid.width // 2 * 2,
        valid.y0 + valid.height // 2 * 2,
    )


def feather_mask(size_px: int, valid: Box) -> F32Array:
    """Make the weight of the crop's pixels in the picture.

    It rises smoothly from 0 at the crop's border and is 1 over the head. On a side where the
    picture itself ends inside the crop it stays 1: beyond the picture's edge there is nothing to
    fade into, and a fade would show resting hair through moving hair.

    Args:
        size_px: Side of the crop.
        valid: The part of the crop inside the picture.

    Returns:
        `[S, S]` in 0..1; beyond the picture's edge it goes on as at the edge.
    """
    width_px = max(1.0, FEATHER * size_px)
    across = _rise(size_px, width_px, valid.x0 == 0, valid.x1 == size_px)
    down = _rise(size_px, width_px, valid.y0 == 0, valid.y1 == size_px)
    return np.asarray(np.outer(down, across), dtype=np.float32)


def plan_paste(picture: U8Array, crop: Crop, source: U8Array, mask: F32Array) -> Paste:
    """Prepare to return crops into a picture.

    Args:
        picture: `[H, W, 3]` at the output's size.
        crop: Where the crop lies in this picture (see `crop.scale_crop`).
        source: `[S, S, 3]` the untouched source crop that the drawn ones started from.
        mask: `[S, S]` from `feather_mask`.

    Raises:
        ValueError: The crop does not touch the picture.
    """
    height, width = (check_shape(picture, "H W 3")[letter] for letter in "HW")
    check_shape(source, "S S 3", S=crop.size_px)
    check_shape(mask, "S S", S=crop.size_px)
    # Whole picture pixels that lie inside the crop.
    box = Box(
        max(0, int(np.ceil(crop.left + 0.5))),
        max(0, int(np.ceil(crop.top + 0.5))),
        min(width, int(np.floor(crop.left + crop.side_px + 0.5))),
        min(height, int(np.floor(crop.top + crop.side_px + 0.5))),
    )
    if box.height <= 0 or box.width <= 0:
        raise ValueError(f"the crop {crop} lies outside the picture of {height} x {width} pixels")
    edges = (
        (box.x0 - 0.5 - crop.left) * crop.scale,
        (box.y0 - 0.5 - crop.top) * crop.scale,
        (box.x1 - 0.5 - crop.left) * crop.scale,
        (box.y1 - 0.5 - crop.top) * crop.scale,
    )
    # Rounding may step over the border by a hair, which Pillow refuses.
    limited = [min(max(edge, 0.0), float(crop.size_px)) for edge in edges]
    crop_box = (limited[0], limited[1], limited[2], limited[3])
    resampled = resample(source, crop_box, box)
    detail = cv2.subtract(picture[box.slices], resampled, dtype=cv2.CV_16S)
    region_mask = sample_linear(mask[..., None], crop_box, box, crop.size_px)
    # Where the mask is rising, and not the very border; a sixteenth of the pixels says enough.
    rim = np.zeros_like(mask)
    rim[2::4, 2::4] = (4 * mask * (1 - mask))[2::4, 2::4]
    return Paste(
        box=box,
        picture=picture,
        source=source,
        resampled=resampled,
        detail=np.asarray(detail, np.int16) if detail.any() else None,
        mask=region_mask.reshape(box.height, box.width),
        rim=rim,
        crop_box=crop_box,
    )


def paste(plan: Paste, crops: U8Array, threads: int = 2) -> U8Array:
    """Return drawn crops into the picture.

    Args:
        plan: From `plan_paste`.
        crops: `[B, S, S, 3]`.
        threads: Frames at once.

    Returns:
        `[B, h, w, 3]` new pixels of ``plan.box``; the rest of the picture does not change.
    """
    size = plan.source.shape[0]
    n_crops = check_shape(crops, "B S S 3", S=size)["B"]
    offsets = rim_offset(crops, plan.source, plan.rim)
    out = np.empty((n_crops, plan.box.height, plan.box.width, 3), dtype=np.uint8)

    def one(index: int) -> None:
        out[index] = _paste_one(plan, crops[index], offsets[index])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(one, range(n_crops)))
    return out


def full_frames(plan: Paste, regions: U8Array) -> U8Array:
    """Put recomputed regions `[B, h, w, 3]` into copies of the picture: `[B, H, W, 3]`."""
    frames = np.repeat(plan.picture[None], len(regions), axis=0)
    rows, columns = plan.box.slices
    frames[:, rows, columns] = regions
    return frames


def _rise(size_px: int, width_px: float, at_start: bool, at_end: bool) -> F32Array:
    """Rise from 0 over ``width_px`` at the chosen ends of a side."""
    position = np.arange(size_px, dtype=np.float32)
    distance = np.full_like(position, width_px)
    if at_start:
        distance = np.minimum(distance, position)
    if at_end:
        distance = np.minimum(distance, position[::-1])
    return _smoothstep(distance, 0.0, width_px)


def _paste_one(plan: Paste, drawn: U8Array, offset: F32Array) -> U8Array:
    """One frame of `paste`: `[S, S, 3]` to `[h, w, 3]`."""
    region = resample(drawn, plan.crop_box, plan.box)
    if np.abs(offset).max() >= SMALLEST_OFFSET:
        region = cv2.subtract(region, (*offset.astype(float).tolist(), 0.0))
    difference = _at_map(plan, _neighbourhood_difference(drawn, plan.source))
    wakes = _weights(plan, _smoothstep(difference, WAKES_ABOVE, RESTS_BELOW))
    # In whole numbers: OpenCV blends with weights in floating point three times as slowly.
    change = np.subtract(region, plan.resampled, dtype=np.int16)
    change = cv2.multiply(change, wakes, scale=1 / _WHOLE)
    if plan.detail is not None:
        moves = _weights(plan, _smoothstep(difference, RESTS_BELOW, MOVES_ABOVE))
        change = cv2.subtract(change, cv2.multiply(plan.detail, moves, scale=1 / _WHOLE))
    resting = plan.picture[plan.box.slices]
    return np.asarray(cv2.add(resting, change, dtype=cv2.CV_8U), dtype=np.uint8)


def _weights(plan: Paste, at_map: F32Array) -> I16Array:
    """Bring weights of a map to the region's pixels under the mask, 1 as `_WHOLE`: `[h, w, 3]`."""
    fine = cv2.resize(at_map, (plan.box.width, plan.box.height))
    weights = cv2.multiply(fine, plan.mask, scale=_WHOLE).astype(np.int16)
    return np.asarray(cv2.merge([weights] * 3), np.int16)


def _at_map(plan: Paste, difference: F32Array) -> F32Array:
    """Bring a map of the crop to a map of the region, as fine as it or `MAP_STEP` pixels."""
    height, width = (max(side // MAP_STEP, min(side, len(difference))) for side in plan.mask.shape)
    return sample_linear(difference, plan.crop_box, Box(0, 0, width, height), plan.source.shape[0])


def _neighbourhood_difference(drawn: U8Array, source: U8Array) -> F32Array:
    """Mean difference around each place on a map `MAP_STEP` times smaller than the crop."""
    small = max(1, drawn.shape[0] // MAP_STEP)
    difference = cv2.absdiff(drawn, source).astype(np.float32)
    mean = cv2.resize(difference, (small, small), interpolation=cv2.INTER_AREA)
    # Not max(axis=2): along so short an axis it takes ten times as long.
    most = np.maximum(np.maximum(mean[..., 0], mean[..., 1]), mean[..., 2])
    mean = cv2.GaussianBlur(most, (0, 0), max(0.5, NEIGHBOURHOOD * small))
    return np.asarray(mean, dtype=np.float32)


def _smoothstep(value: F32Array, low: float, high: float) -> F32Array:
    """Rise from 0 at ``low`` to 1 at ``high`` with no corner."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)
