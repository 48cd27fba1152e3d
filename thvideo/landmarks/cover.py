"""Notice a mouth behind a hand, a cup or a microphone.

A network places the points of a covered mouth all the same, by guessing. That it guesses shows in
its heat maps: they spread.

Shapes: B crops, T frames.
"""

from collections.abc import Sequence

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.gaps import find_gaps, shot_bounds
from thvideo.landmarks.pose import fit_pose
from thvideo.shapes import BoolArray, F32Array, F64Array

_RIGHT_MOUTH = [48, 49, 50, 58, 59, 60, 61, 67]
_LEFT_MOUTH = [52, 53, 54, 55, 56, 63, 64, 65]
# A logistic regression on 50 clips of held-out people, each also with hands, microphones, cups,
# papers and masks painted over the mouth, and sunglasses, hair and hands elsewhere as
# counter-examples. In order of `_evidence`, then the constant.
_WEIGHTS, _CONSTANT = (11.97, 8.59, -1.40, -6.14, -4.46), -1.40
# Covered is what is likelier so than not, and much likelier than is usual for this person. Of
# 7,300 frames of held-out people with nothing before the mouth 11 pass for covered, all of a head
# that bows fast; of painted hands, papers and masks on faces that look ahead all but 1 in 50 do,
# of cups and microphones 9 in 10.
_LEAST_LOG_ODDS, _LEAST_RISE = 0.0, 4.0
_USUAL_PERCENTILE = 30
# At least once it has to be this clear: dark and blurred faces come near.
_CLEAREST_LOG_ODDS = 1.5
# What begins or ends to cover is less clear, for a few frames.
_EDGE_FRAMES, _EDGE_RISE = 3, 2.5
# Of a head turned or bowed farther than this, half of the mouth is out of sight anyway.
_MOST_TURN_DEG = 32.0
# Nothing covers a face for so short a time, nor uncovers it between: smears of fast motion do.
_LEAST_FRAMES = 3


def log_odds_covered(spread: F32Array, face_logits: F32Array, points: F32Array) -> F32Array:
    """Say how likely the mouth is covered, as the bundled network's heat maps show it.

    Args:
        spread: ``[B, 70]`` standard deviation of each point's heat map in cells.
        face_logits: ``[B]`` that there is a face.
        points: ``[B, 70, 2]`` in any unit.

    Returns:
        ``[B]`` logarithms of the odds.
    """
    evidence = _evidence(spread.astype(np.float64), face_logits, points)
    return np.asarray(evidence @ np.array(_WEIGHTS) + _CONSTANT, dtype=np.float32)


def _evidence(spread: F64Array, face_logits: F32Array, points: F32Array) -> F64Array:
    """What speaks for and against a covered mouth, ``[B, 5]``."""
    # Of a turned head the far half is never sure.
    mouth = np.minimum(spread[:, _RIGHT_MOUTH].mean(axis=1), spread[:, _LEFT_MOUTH].mean(axis=1))
    surest = spread[:, schema.MOUTH].min(axis=1)
    eyes = [spread[:, eye].mean(axis=1) for eye in (schema.RIGHT_EYE, schema.LEFT_EYE)]
    # Wide open mouths are less sure too.
    gap = np.linalg.norm(points[:, 66] - points[:, 62], axis=-1)
    width = np.linalg.norm(points[:, 54] - points[:, 48], axis=-1)
    return np.stack(
        [
            np.log(mouth),
            np.log(surest),
            np.clip(face_logits, -2, 8),
            np.clip(gap / np.maximum(width, 1e-6), 0, 1),
            np.log(np.maximum(*eyes)),
        ],
        axis=1,
    )


def covered_frames(log_odds: F32Array, points: F32Array, cuts: Sequence[int]) -> BoolArray:
    """Say in which frames the mouth is covered, though it is not usually so in the shot.

    A mouth that is covered in most of a shot, as by a mask, passes for the person's own.

    Args:
        log_odds: ``[T]`` as of the tracker; NaN where it cannot tell.
        points: ``[T, 70, 2]`` in pixels; NaN where no face was found.
        cuts: First frame of each new shot.

    Returns:
        ``[T]``.
    """
    told = np.isfinite(log_odds) & np.isfinite(points[:, : schema.N_IBUG_POINTS]).all(axis=(1, 2))
    covered = np.zeros(len(log_odds), dtype=np.bool_)
    for first, end in shot_bounds(cuts, len(log_odds)):
        rows = first + np.flatnonzero(told[first:end])
        if len(rows):
            covered[rows] = _covered_in_shot(log_odds[rows], points[rows])
    return covered


def _covered_in_shot(log_odds: F32Array, points: F32Array) -> BoolArray:
    rise = log_odds - np.percentile(log_odds, _USUAL_PERCENTILE)
    clearly = (log_odds > _LEAST_LOG_ODDS) & (rise > _LEAST_RISE)
    if not clearly.any():
        return clearly
    # The third axis of a face that looks ahead points along the line of sight.
    towards_viewer = fit_pose(points.astype(np.float64)).rotation[:, 2, 2]
    clearly &= towards_viewer > np.cos(np.radians(_MOST_TURN_DEG))
    for first, last in find_gaps(clearly):
        if last - first + 1 < _LEAST_FRAMES and first > 0 and last < len(clearly) - 1:
            clearly[first : last + 1] = True
    covered = np.zeros_like(clearly)
    for first, last in find_gaps(~clearly):
        is_long = last - first + 1 >= _LEAST_FRAMES
        if is_long and log_odds[first : last + 1].max() > _CLEAREST_LOG_ODDS:
            begin, end = max(first - _EDGE_FRAMES, 0), last + 1 + _EDGE_FRAMES
            covered[first : last + 1] = True
            covered[begin:end] |= rise[begin:end] > _EDGE_RISE
    return covered
