"""Which source crop serves each frame: the nearest in pose, and no flickering between crops."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from thvideo.landmarks.pose import angles_deg, fit_pose
from thvideo.shapes import BoolArray, F64Array, I64Array, U8Array, check_shape

#: Another crop serves only if it is of the same take as the first: its border differs from the
#: first's by no more than this on average, in 0..255. Another background would be seen.
_SAME_TAKE = 12.0

#: The border's width as a share of the crop's side.
_BORDER = 0.06

#: Changing the crop costs as much as drawing this many frames one degree farther from their pose.
_CHANGE_COST_DEG = 120.0


def choose_sources(
    crops: U8Array, landmarks: F64Array, points: F64Array, cuts: Sequence[int] = ()
) -> I64Array:
    """Choose a source crop for every frame.

    The whole video's choice is the one with the least sum of distances in pose and changes of
    crop (dynamic programming); at a cut a change costs nothing.

    Args:
        crops: ``[K, S, S, 3]`` RGB, the best first.
        landmarks: ``[K, 70, 2]`` of the crops.
        points: ``[T, 70, 2]`` of the frames to draw.
        cuts: First frames of new shots.

    Returns:
        ``[T]`` indices of crops.
    """
    n_crops = check_shape(crops, "K S S 3")["K"]
    if n_crops == 1 or len(points) == 0:
        return np.zeros(len(points), np.int64)
    usable = np.flatnonzero(same_take(crops))
    own = angles_deg(fit_pose(landmarks[usable]).rotation)
    wanted = angles_deg(fit_pose(points).rotation)
    apart = np.abs(wanted[:, None] - own[None]).sum(axis=-1)  # [T, crops]
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(points)), len(points)]
    paths = [_steadiest(apart[start:stop]) for start, stop in pairwise(edges)]
    return usable[np.concatenate(paths)]


def same_take(crops: U8Array) -> BoolArray:
    """Tell which crops have the first one's background, ``[K]``."""
    size = crops.shape[1]
    width = max(1, round(_BORDER * size))
    border = np.ones((size, size), bool)
    border[width:-width, width:-width] = False
    # The lower border holds clothes, which move with every breath.
    border[size // 2 :] = False
    seen = crops[:, border].astype(np.float32)  # [K, pixels, 3]
    apart = np.abs(seen - seen[0]).mean(axis=(1, 2))
    return np.asarray(apart <= _SAME_TAKE)


def _steadiest(apart: F64Array) -> I64Array:
    """Viterbi's path ``[T]`` through distances ``[T, K]``."""
    n_frames, n_crops = apart.shape
    cost, came_from = apart[0].copy(), np.zeros((n_frames, n_crops), np.int64)
    for frame in range(1, n_frames):
        best = int(cost.argmin())
        changed = cost[best] + _CHANGE_COST_DEG
        came_from[frame] = np.where(cost <= changed, np.arange(n_crops), best)
        cost = np.minimum(cost, changed) + apart[frame]
    path = np.zeros(n_frames, np.int64)
    path[-1] = int(cost.argmin())
    for frame in range(n_frames - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path
