"""What becomes of the faces that were followed: which frames are a clip, and what is rejected."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from thvideo.imaging.crop import Crop, crop_for_face, to_crop
from thvideo.landmarks.gaps import drop_short_runs, find_gaps, shot_bounds
from thvideo.landmarks.smooth import smooth
from thvideo.shapes import BoolArray, F32Array, F64Array, I64Array
from thvideo.stages.prepare_options import MIN_CLIP_FRAMES, PrepareOptions
from thvideo.training.dataset_write import Reject

# The crop of the clips on which the warp and the networks are measured.
CROP_SCALE, CROP_LIFT = 2.27, 0.2
# Labels lose their jitter as a driver's landmarks do when a generator is shown them; blinks stay.
SMOOTH = 1.0
# Faces are followed at this rate at least, however few frames are kept: they move meanwhile.
TRACK_FPS = Fraction(25)
# A face that wanders farther than so many of its own heights gets another crop, and so another
# clip: one crop for all of it would have to be larger than `imaging.crop.FACE_SCALE`.
_MAX_SPAN = 1.75


@dataclass(frozen=True, eq=False)
class Followed:
    """One face over the N frames that were looked at.

    Attributes:
        frames: `[N]` their numbers in the video.
        times_s: `[N]` their times.
        points: `[N, 70, 2]` picture pixels as the tracker gave them, NaN without a face.
        cuts: the first frame of each new shot, as a place in `frames`.
    """

    frames: I64Array
    times_s: F64Array
    points: F32Array
    cuts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PlannedClip:
    """A clip to be made.

    Attributes:
        frames: `[T]` numbers in the video.
        points: `[T, 70, 2]` crop pixels.
        crop: where it lies in the picture.
        face_px: median height of the face in the picture.
        start_s: time of its first frame.
    """

    frames: I64Array
    points: F32Array
    crop: Crop
    face_px: float
    start_s: float


def frames_at(times_s: F64Array, fps: Fraction) -> I64Array:
    """Choose the frames that are shown at 0, 1/fps, 2/fps ... seconds, each of them once.

    Args:
        times_s: `[T]` increasing, from 0.
        fps: how many frames a second are wanted.

    Returns:
        `[N]` indices, N at most T.
    """
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / float(fps)
    # A quarter of a step is forgiven: containers round times.
    slack_s = 0.25 * min(step_s, 1 / float(fps))
    n_wanted = int(np.ceil((times_s[-1] + step_s - slack_s) * float(fps)))
    wanted_s = np.arange(max(1, n_wanted)) / float(fps) + slack_s
    return np.unique(np.searchsorted(times_s, wanted_s, side="right") - 1).astype(np.int64)


def plan_clips(
    followed: Followed, options: PrepareOptions
) -> tuple[list[PlannedClip], list[Reject]]:
    """Cut what was followed into clips: one shot, one face that is never lost, one crop.

    Returns:
        The clips in order of time, and what was rejected.
    """
    clips: list[PlannedClip] = []
    rejects: list[Reject] = []
    found: BoolArray = np.asarray(np.isfinite(followed.points).all(axis=(1, 2)), np.bool_)
    found = drop_short_runs(found, followed.cuts)
    points = followed.points.copy()
    steadied = dataclasses.replace(followed, points=points)
    for first, end in shot_bounds(followed.cuts, len(found)):
        if not found[first:end].any():
            span_s = (float(followed.times_s[first]), float(followed.times_s[end - 1]))
            detail = f"no face in {end - first} frames"
            rejects.append(Reject("no face", detail, *span_s))
            continue
        for start, last in find_gaps(~found[first:end]):
            places = np.arange(first + start, first + last + 1)
            times_s = followed.times_s[places]
            points[places] = smooth(points[places], times_s, (), SMOOTH)
            for steady in _steady_parts(points, places):
                _plan_part(steadied, steady, options, clips, rejects)
    return clips, rejects


def _plan_part(
    followed: Followed,
    places: I64Array,
    options: PrepareOptions,
    clips: list[PlannedClip],
    rejects: list[Reject],
) -> None:
    """Take a part in which all is well but perhaps its length and the size of the face."""
    span_s = (float(followed.times_s[places[0]]), float(followed.times_s[places[-1]]))
    if options.fps < TRACK_FPS:
        places = places[frames_at(followed.times_s[places] - span_s[0], options.fps)]
    if len(places) < MIN_CLIP_FRAMES:
        detail = f"{len(places)} frames without a cut or a jump, {MIN_CLIP_FRAMES} are needed"
        rejects.append(Reject("cut", detail, *span_s))
        return
    too_small = _too_small(followed.points[places], options)
    if too_small:
        rejects.append(Reject("face too small", too_small, *span_s))
        return
    n_parts = -(-len(places) // options.max_frames)
    parts = np.array_split(places, n_parts)
    clips.extend(_planned(followed, part, options) for part in parts)


def plan_picture(
    points: F32Array, options: PrepareOptions
) -> tuple[list[PlannedClip], list[Reject]]:
    """Make a clip of one frame of a picture's face.

    Args:
        points: `[1, 70, 2]` picture pixels, NaN without a face.
        options: what clips are like.
    """
    if not np.isfinite(points).all():
        return [], [Reject("no face", "no face in the picture")]
    too_small = _too_small(points, options)
    if too_small:
        return [], [Reject("face too small", too_small)]
    followed = Followed(np.zeros(1, np.int64), np.zeros(1), points, ())
    return [_planned(followed, followed.frames, options)], []


def _planned(followed: Followed, places: I64Array, options: PrepareOptions) -> PlannedClip:
    points = followed.points[places]
    crop = crop_for_face(points, options.size_px, CROP_SCALE, CROP_LIFT)
    return PlannedClip(
        frames=followed.frames[places],
        points=to_crop(points, crop).astype(np.float32),
        crop=crop,
        face_px=float(np.median(_face_sizes(points))),
        start_s=float(followed.times_s[places[0]]),
    )


def _too_small(points: F32Array, options: PrepareOptions) -> str:
    """Say how small faces `[N, 70, 2]` are, if they are too small."""
    face_px = float(np.median(_face_sizes(points)))
    return f"{face_px:.0f} px, {options.min_face_px} are needed" * (face_px < options.min_face_px)


def _face_sizes(points: F32Array) -> F32Array:
    ibug = points[:, :68]
    return np.asarray((ibug.max(axis=1) - ibug.min(axis=1)).max(axis=1), np.float32)


def _steady_parts(points: F32Array, places: I64Array) -> Iterator[I64Array]:
    """Cut where the face has wandered too far from where a part began for one crop."""
    ibug = points[places, :68]
    lows, highs, sizes = ibug.min(axis=1), ibug.max(axis=1), _face_sizes(points[places])
    start, low, high, total = 0, lows[0], highs[0], float(sizes[0])
    for index in range(1, len(places)):
        low, high = np.minimum(low, lows[index]), np.maximum(high, highs[index])
        total += float(sizes[index])
        if (high - low).max() > _MAX_SPAN * total / (index - start + 1):
            yield places[start:index]
            start, low, high, total = index, lows[index], highs[index], float(sizes[index])
    yield places[start:]
