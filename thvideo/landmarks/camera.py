"""What the camera does while a head is followed: a zoom is not growth of the head.

A head nears and leaves, and comes back; a zoom goes on steadily, or farther than a head does.
"""

import numpy as np

from thvideo.landmarks.pose import Pose
from thvideo.shapes import F64Array

# Standard deviation of the window whose trend is looked at: longer than a nod.
_TREND_FRAMES = 20
# A zoom that stands out this much from what the head does besides (change over the whole shot to
# deviation from an even one) is one: of 50 clips without a zoom none comes to 6, zooms by a fifth
# come to 20. Smaller ones than a twentieth do not matter.
_STEADY = (7.0, 12.0)
_STEADY_LEAST = (0.03, 0.06)
# Heads grow and shrink by up to 0.17 (natural logarithm) in these clips as they near and leave.
_FAR = (0.18, 0.30)


def camera_motion(pose: Pose) -> tuple[F64Array, F64Array]:
    """Tell the camera's slow zoom, and the way on which it carries the head, from the head's own.

    Args:
        pose: Of T frames of one shot.

    Returns:
        Way ``[T, 2]`` in pixels and growth ``[T]`` (natural logarithm); 0 where the camera rests.
    """
    n_frames = len(pose)
    if n_frames <= 2 * _TREND_FRAMES:
        return np.zeros((n_frames, 2)), np.zeros(n_frames)
    size = np.log(pose.scale)
    growth = _trend(size)
    share = max(_steadiness(size), _ramp(float(np.ptp(growth)), _FAR))
    if share == 0:
        return np.zeros((n_frames, 2)), np.zeros(n_frames)
    way = np.stack([_trend(pose.translation[:, axis]) for axis in range(2)], axis=-1)
    return share * way, share * growth


def _steadiness(size: F64Array) -> float:
    """Return 0 to 1: how surely the size changes evenly from the first frame to the last."""
    time = np.linspace(-0.5, 0.5, len(size))
    change, middle = np.polyfit(time, size, 1)
    aside = float(np.std(size - (change * time + middle)))
    steady = _ramp(abs(float(change)) / max(aside, 1e-3), _STEADY)
    return steady * _ramp(abs(float(change)), _STEADY_LEAST)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))


def _trend(values: F64Array) -> F64Array:
    """Return the local linear regression of values ``[T]`` in a Gaussian window."""
    reach = 3 * _TREND_FRAMES
    offset = np.arange(-reach, reach + 1.0)
    weight = np.exp(-0.5 * (offset / _TREND_FRAMES) ** 2)

    def moment(of: F64Array, power: int) -> F64Array:
        kernel = weight * offset**power
        around: F64Array = np.convolve(np.pad(of, reach), kernel[::-1], "valid")
        return around

    ones, level = np.ones(len(values)), values.mean()
    m0, m1, m2 = (moment(ones, power) for power in range(3))
    b0, b1 = (moment(values - level, power) for power in range(2))
    trend: F64Array = level + (m2 * b0 - m1 * b1) / (m0 * m2 - m1**2)
    return trend
