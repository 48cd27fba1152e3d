"""Remove a tracker's jitter without delaying or flattening what the face does.

The head's movement (a similarity for every frame) and the face's own movement (what remains)
are filtered separately. Each is a local quadratic regression in time, symmetric and therefore
without lag, whose width is chosen for every frame and every part of the face: as wide as what
is seen there can be explained by noise (the rule of intersecting confidence intervals of
Goldenshluger and Nemirovski 1997, with gradual instead of hard choices). A still face gets a
wide window; a blink gets almost none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thvideo.landmarks import schema
from thvideo.landmarks.gaps import shot_bounds
from thvideo.landmarks.similarity import (
    Similarity,
    face_similarity,
    mean_shape,
    to_complex,
)
from thvideo.shapes import BoolArray, F32Array, F64Array, check_shape

# Standard deviations of the Gaussian windows in seconds at strength 1. The widest one still
# follows a slow nod; a blink is over in 0.3 s.
WIDTHS_S = (0.028, 0.042, 0.063, 0.095, 0.14)
# A wider window is left out where it differs from a narrower one by more than noise would,
# as mean square over a part's coordinates in units of the expected one.
_TRUSTED, _REFUSED = 1.5, 2.6
# Noise is read from the quieter frames: the 30th percentile of |x| is 0.385 standard deviations.
_QUIET_PERCENTILE, _QUIET_SHARE = 30.0, 0.3853
# Talking looks like noise in a quick mouth: a part is at most this much noisier than the median.
_MAX_NOISE_RATIO = 1.5
# Below this share of the outer eye distance there is nothing worth removing.
_NOISE_FLOOR = 1e-4
# A window reaches this many standard deviations to either side.
_REACH = 2.5
# Windows that weigh almost alike differ by rounding: differences count from this variance on.
_LEAST_SHARE = 0.02
_MIN_KNOWN_FRAMES = 4
_BLOCK_FRAMES = 512


@dataclass(frozen=True)
class _Part:
    """Landmarks that move together, and how wide their windows may become."""

    points: tuple[int, ...]
    n_widths: int


def _indices(*slices: slice) -> tuple[int, ...]:
    return tuple(int(i) for s in slices for i in np.arange(schema.N_POINTS)[s])


# Lids, lips and gaze carry the expression: their windows stay narrower.
_PARTS = (
    _Part(_indices(schema.JAW), 5),
    _Part(_indices(schema.RIGHT_BROW), 5),
    _Part(_indices(schema.LEFT_BROW), 5),
    _Part(_indices(schema.NOSE), 5),
    _Part(_indices(schema.RIGHT_EYE), 4),
    _Part(_indices(schema.LEFT_EYE), 4),
    _Part(_indices(schema.MOUTH), 4),
    _Part((schema.RIGHT_IRIS,), 4),
    _Part((schema.LEFT_IRIS,), 4),
)
_N_HEAD_WIDTHS = 5


@dataclass(frozen=True)
class _Clock:
    """When the frames of a shot are, and the widths of the windows, narrowest first."""

    times_s: F64Array
    widths_s: Sequence[float]


def smooth(
    points: NDArray[Any], times_s: NDArray[Any], cuts: Sequence[int], strength: float = 1.0
) -> F32Array:
    """Remove jitter from landmarks; frames may be at any times, and no cut is crossed.

    Args:
        points: ``[T, 70, 2]`` pixels; NaN stays NaN and does not spread.
        times_s: ``[T]`` seconds, increasing.
        cuts: First frame of each new shot.
        strength: 0 leaves everything as it is, 1 is the measured default, 2 doubles the widths.

    Returns:
        ``[T, 70, 2]``.

    Raises:
        ValueError: The strength is negative or the shapes do not fit.
    """
    check_shape(points, "T 70 2", T=len(times_s))
    if not strength >= 0:
        raise ValueError(f"strength must be 0 or more, got {strength}")
    result = np.array(points, dtype=np.float64)
    if strength > 0:
        seconds = np.asarray(times_s, dtype=np.float64)
        widths = [width * strength for width in WIDTHS_S]
        for first, end in shot_bounds(cuts, len(result)):
            if end - first > 2:
                result[first:end] = _smooth_shot(result[first:end], seconds[first:end], widths)
    return result.astype(np.float32)


def _smooth_shot(points: F64Array, times_s: F64Array, widths: list[float]) -> F64Array:
    shape = mean_shape(points)
    pose = face_similarity(points, shape)
    known = np.isfinite(pose.scale)
    if known.sum() < _MIN_KNOWN_FRAMES:
        return points
    floor = _NOISE_FLOOR * float(np.median(schema.outer_eye_distance(points[known])))
    head = _smooth_head(pose, shape, _Clock(times_s, widths[:_N_HEAD_WIDTHS]), floor)
    local = pose.undo(points)
    parts = [local[:, list(part.points)] for part in _PARTS]
    noises = [_noise(part) for part in parts]
    measured = [noise for noise in noises if np.isfinite(noise)]
    highest = _MAX_NOISE_RATIO * float(np.median(measured)) if measured else np.inf
    for part, values, noise in zip(_PARTS, parts, noises, strict=True):
        if np.isfinite(noise):
            clock = _Clock(times_s, widths[: part.n_widths])
            bounded = max(floor, min(noise, highest))
            local[:, list(part.points)] = _smooth_part(values, bounded, clock)
    smoothed = head.apply(local)
    return np.where(np.isfinite(smoothed), smoothed, points)


def _smooth_head(pose: Similarity, shape: F64Array, clock: _Clock, floor: float) -> Similarity:
    """Smooth the movement of two points of the head: they say all that a similarity says.

    Both lie at the eyes' outer corners, so that noise of size and roll weighs as it is seen.
    """
    anchors = shape[[schema.RIGHT_EYE_OUTER, schema.LEFT_EYE_OUTER]]
    track = pose.apply(anchors)
    noise = _noise(track)
    if not np.isfinite(noise):
        return pose
    smoothed = to_complex(_smooth_part(track, max(noise, floor), clock))
    base = to_complex(anchors)
    scale = (smoothed[:, 1] - smoothed[:, 0]) / (base[1] - base[0])
    return Similarity(scale, smoothed[:, 0] - scale * base[0])


def _noise(values: F64Array) -> float:
    """Standard deviation of white noise, read from third differences in the quieter frames.

    Args:
        values: ``[T, N, 2]``.

    Returns:
        NaN where too little is known.
    """
    detail = np.abs(np.diff(values, n=3, axis=0)) / np.sqrt(20.0)
    known = detail[np.isfinite(detail)]
    if len(known) == 0:
        return float("nan")
    return float(np.percentile(known, _QUIET_PERCENTILE)) / _QUIET_SHARE


def _smooth_part(values: F64Array, noise: float, clock: _Clock) -> F64Array:
    """Filter points that move together, with one window for all of them in each frame.

    Args:
        values: ``[T, N, 2]``; a frame with NaN is left as it is and not used.
        noise: Standard deviation of their noise, in their units.
        clock: Times of the frames and widths of the windows.

    Returns:
        ``[T, N, 2]``.
    """
    flat = values.reshape(len(values), -1)
    known: BoolArray = np.asarray(np.isfinite(flat).all(axis=1), dtype=np.bool_).reshape(-1)
    result = flat.copy()
    for first in range(0, len(flat), _BLOCK_FRAMES):
        frames = np.arange(first, min(first + _BLOCK_FRAMES, len(flat)))
        near, kernels = _kernels(clock, known, frames)
        around = np.where(known[near][..., None], flat[near], 0.0)  # [n, W, C]
        estimates = np.concatenate(
            [np.where(known[frames], flat[frames].T, 0.0).T[:, None], kernels @ around], axis=1
        )  # [n, K + 1, C], the first one the values themselves
        blended = _blend(estimates, kernels, near == frames[:, None], noise)
        result[frames] = np.where(known[frames, None], blended, flat[frames])
    return result.reshape(values.shape)


def _blend(estimates: F64Array, kernels: F64Array, own: BoolArray, noise: float) -> F64Array:
    """Go from narrow to wide windows as long as noise explains the difference.

    Args:
        estimates: ``[n, K + 1, C]``: the values, then those of the windows, narrowest first.
        kernels: ``[n, K, W]`` the windows' weights.
        own: ``[n, W]``, True at the frame's own weight.
        noise: Standard deviation.

    Returns:
        ``[n, C]``.
    """
    weights = np.concatenate([own[:, None].astype(np.float64), kernels], axis=1)
    result = estimates[:, 0].copy()
    trust = np.ones(len(result))
    for wide in range(1, estimates.shape[1]):
        for narrow in range(wide):
            share = ((weights[:, wide] - weights[:, narrow]) ** 2).sum(axis=1)
            expected = np.maximum(share, _LEAST_SHARE) * noise**2
            stray = ((estimates[:, wide] - estimates[:, narrow]) ** 2).mean(axis=1) / expected
            trust = np.minimum(trust, (_REFUSED - stray) / (_REFUSED - _TRUSTED))
        trust = np.clip(trust, 0.0, 1.0)
        result += trust[:, None] * (estimates[:, wide] - estimates[:, wide - 1])
    return result


def _kernels(
    clock: _Clock, known: BoolArray, frames: NDArray[np.int64]
) -> tuple[NDArray[np.int64], F64Array]:
    """Weights of local quadratic regressions at some frames.

    Args:
        clock: Times of all frames and the widths.
        known: ``[T]``, the frames that may be used.
        frames: ``[n]`` where to estimate.

    Returns:
        The neighbours' indices ``[n, W]``, and their weights ``[n, K, W]``, one set per width.
    """
    times_s, widths = clock.times_s, np.array(clock.widths_s)
    reach_s = _REACH * widths.max()
    first = np.searchsorted(times_s, times_s[frames] - reach_s)
    last = np.searchsorted(times_s, times_s[frames] + reach_s, side="right") - 1
    n_side = int(max((frames - first).max(), (last - frames).max()))
    near = frames[:, None] + np.arange(-n_side, n_side + 1)
    inside = (near >= 0) & (near < len(times_s))
    near = np.clip(near, 0, len(times_s) - 1)
    offset = times_s[near] - times_s[frames][:, None]
    u = offset[:, None, :] / widths[:, None]  # [n, K, W]
    usable = (inside & known[near])[:, None] & (np.abs(u) <= _REACH)
    weight = np.exp(-0.5 * u**2) * usable
    basis = np.stack([np.ones_like(u), u, u**2], axis=-1)  # [n, K, W, 3]
    moments = np.swapaxes(basis * weight[..., None], -1, -2) @ basis
    # With fewer than three frames in reach the slope and the bend are taken as 0.
    moments[..., [1, 2], [1, 2]] += 1e-7
    moments[..., 0, 0] += 1e-12
    solved = np.linalg.solve(moments, np.array([1.0, 0.0, 0.0])[:, None])  # [n, K, 3, 1]
    return near, (basis @ solved)[..., 0] * weight
