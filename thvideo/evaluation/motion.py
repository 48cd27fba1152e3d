"""Figures of motion, from landmarks that one tracker has found in drawn and in true frames.

The true frames themselves score 0 or 1: what the tracker gets wrong it gets wrong on both sides.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from thvideo.landmarks.expression import measure, person_shape
from thvideo.landmarks.pose import angles_deg
from thvideo.landmarks.schema import N_IBUG_POINTS, N_POINTS, amid_eyes, outer_eye_distance
from thvideo.landmarks.tracker import Tracker, box_from_points
from thvideo.shapes import F32Array, F64Array, U8Array, check_shape

#: A driver that moves by less than this (standard deviation over the evaluated frames) is not
#: seen to move: what is left is the tracker's noise, as videos of still faces show it. In outer
#: eye distances, shares of an open eye, degrees, eye widths and outer eye distances.
LEAST_MOTION: Mapping[str, float] = {
    "mouth": 0.02,
    "blink": 0.1,
    "yaw": 1.0,
    "pitch": 1.0,
    "roll": 1.0,
    "gaze_x": 0.015,
    "gaze_y": 0.015,
    "place_x": 0.03,
    "place_y": 0.03,
}

#: What a face does along both axes of the picture is one figure, the mean of two.
_AXES = ("gaze", "place")
_FEW_FRAMES = 4

#: What the names of gains end with.
GAIN = "_gain"


def track_near(tracker: Tracker, frames: U8Array, points: F32Array) -> F32Array:
    """Place landmarks on frames in which the face is about where some points lie.

    No detector runs: a first look around the points, a second around what it found.

    Args:
        tracker: whose landmarks to take.
        frames: `[T, S, S, 3]` RGB.
        points: `[T, 70, 2]` pixels; the irises may be NaN.

    Returns:
        `[T, 70, 2]` pixels; NaN where a frame's points are unknown.
    """
    check_shape(points, "T 70 2", T=len(frames))
    rough, _ = tracker.landmarks(frames, box_from_points(points))
    fine, _ = tracker.landmarks(frames, box_from_points(rough))
    return fine


def find_points(tracker: Tracker, frames: U8Array, near: F32Array) -> F32Array:
    """Track the face of every frame, alone and unsmoothed, ``[T, 70, 2]``.

    Args:
        tracker: Whose landmarks to take.
        frames: ``[T, S, S, 3]`` RGB.
        near: ``[T, 70, 2]`` about where the face lies.
    """
    if (frames == frames[:1]).all() and (near == near[:1]).all():
        # A copied picture is looked at once.
        return np.repeat(track_near(tracker, frames[:1], near[:1]), len(frames), axis=0)
    return track_near(tracker, frames, near)


def motions(points: F32Array) -> dict[str, F64Array]:
    """Measure what a face does in every frame, apart from how the person is built.

    Args:
        points: ``[T, 70, 2]`` found; unknown irises are put amid their eyes.

    Returns:
        Series ``[T]``: ``mouth`` (gap of the inner lips), ``blink`` (opening of the eyes), ``yaw``,
        ``pitch`` and ``roll`` (degrees), ``gaze_x`` and ``gaze_y``, ``place_x`` and ``place_y``
        (where the head is).
    """
    faces = amid_eyes(points)
    face, pose = person_shape(faces)
    expression, angles = measure(faces, face, pose), angles_deg(pose.rotation)
    gaze = expression.gaze.mean(axis=1)
    place = pose.translation / pose.scale.mean()
    return {
        "mouth": expression.gap.mean(axis=1),
        "blink": expression.opening.mean(axis=1),
        "yaw": angles[:, 0],
        "pitch": angles[:, 1],
        "roll": angles[:, 2],
        "gaze_x": gaze[:, 0],
        "gaze_y": gaze[:, 1],
        "place_x": place[:, 0],
        "place_y": place[:, 1],
    }


def correlation(a: F32Array, b: F32Array) -> float:
    """Pearson's correlation of two series, such as the mouth openings of drawn and true frames.

    Args:
        a: `[T]`.
        b: `[T]`; frames in which either is NaN are left out.

    Returns:
        -1..1; NaN with fewer than two frames, or where one of the two does not change.
    """
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 2:
        return float("nan")
    x, y = (np.asarray(series[known], np.float64) for series in (a, b))
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length > 0 else float("nan")


def gain(drawn: F64Array, driver: F64Array) -> float:
    """Return how far a drawn series ``[T]`` goes where the driver's goes by one (least squares)."""
    moved = driver - driver.mean()
    return float((drawn - drawn.mean()) @ moved / (moved @ moved))


def follows(found: F32Array, driver: F32Array) -> dict[str, float]:
    """Compare what a drawn face does with what the driver's does.

    A correlation says whether it moves with the driver, and is the same when all of a motion is
    halved; the gain says how far it goes.

    Args:
        found: ``[T, 70, 2]`` tracked in drawn frames.
        driver: ``[T, 70, 2]`` tracked in the driver's.

    Returns:
        Correlations ``mouth``, ``blink``, ``yaw``, ``pitch``, ``roll``, ``gaze`` and ``place``
        (means of both axes), each only where the driver moves at all; 0 where the drawn face does
        not move with it. The gains of the same, ``mouth_gain`` and so on.
    """
    known = np.isfinite(found[:, :N_IBUG_POINTS]).all(axis=(1, 2))
    known &= np.isfinite(driver[:, :N_IBUG_POINTS]).all(axis=(1, 2))
    if known.sum() < _FEW_FRAMES:
        return {}
    own, wanted = motions(found[known]), motions(driver[known])
    values = {}
    for name, least in LEAST_MOTION.items():
        if wanted[name].std() >= least:
            value = correlation(own[name].astype(np.float32), wanted[name].astype(np.float32))
            # A series that does not change at all follows nothing.
            values[name] = value if np.isfinite(value) else 0.0
            values[name + GAIN] = gain(own[name], wanted[name])
    for name in (of + kind for of in _AXES for kind in ("", GAIN)):
        first, _, last = name.partition("_")
        axes = [f"{first}_{axis}{'_' + last if last else ''}" for axis in "xy"]
        if both := [values.pop(axis) for axis in axes if axis in values]:
            values[name] = float(np.mean(both))
    return values


def landmark_errors(found: F32Array, wanted: F32Array) -> F32Array:
    """Mean distance of points, in outer eye distances of the wanted ones.

    Args:
        found: `[T, 70, 2]` pixels.
        wanted: `[T, 70, 2]` pixels.

    Returns:
        `[T]`, over the points that both have; NaN where there are none.
    """
    check_shape(found, "T N 2", N=N_POINTS)
    check_shape(wanted, "T N 2", T=len(found), N=N_POINTS)
    distances = np.linalg.norm(found - wanted, axis=-1)
    known = np.isfinite(distances)
    n_known = known.sum(axis=1)
    sums = np.where(known, distances, 0).sum(axis=1)
    mean = np.divide(sums, n_known, out=np.full(len(found), np.nan), where=n_known > 0)
    return np.asarray(mean / outer_eye_distance(wanted), np.float32)


def landmark_error(found: F32Array, truth: F32Array) -> float:
    """Return the mean distance of landmarks over the outer-eye distance."""
    errors = landmark_errors(found, truth)
    errors = errors[np.isfinite(errors)]
    return float(errors.mean()) if len(errors) else float("nan")


def jitter(points: F32Array, starts: Sequence[int]) -> float:
    """Return how unsteady landmarks are: their mean acceleration, in outer-eye distances.

    Args:
        points: ``[T, 70, 2]`` tracked.
        starts: Places at which runs of consecutive frames begin; the first is 0.

    Returns:
        A frame's mean distance from the middle of its neighbours, twice; NaN without a run of
        three frames.
    """
    accelerations = []
    for start, stop in pairwise([*starts, len(points)]):
        run = points[start:stop, :N_IBUG_POINTS]
        bent = run[2:] - 2 * run[1:-1] + run[:-2]
        size = outer_eye_distance(points[start + 1 : stop - 1])
        accelerations.append(np.linalg.norm(bent, axis=-1).mean(axis=1) / size)
    every = np.concatenate(accelerations)
    every = every[np.isfinite(every)]
    return float(every.mean()) if len(every) else float("nan")
