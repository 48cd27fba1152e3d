"""What becomes of frames in which no face was found."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from thvideo.errors import InputError
from thvideo.landmarks.similarity import Similarity, face_similarity, mean_shape
from thvideo.shapes import BoolArray, F32Array, F64Array, check_shape

GapPolicy = Literal["interpolate", "hold", "fail"]
Spans = tuple[tuple[int, int], ...]

# A face that shows up for less than this between two gaps is taken for a false detection.
MIN_RUN_FRAMES = 3


@dataclass(frozen=True)
class GapContext:
    """What gaps have to know of the input.

    Args:
        cuts: First frame of each new shot; gaps are never bridged across a cut.
        times_s: ``[T]`` times of the frames in seconds, for messages.
        name: The file's name as the person knows it, for messages.
    """

    cuts: Sequence[int]
    times_s: NDArray[Any]
    name: str


def fill_gaps(
    points: NDArray[Any], found: BoolArray, policy: GapPolicy, context: GapContext
) -> tuple[F32Array, Spans]:
    """Give every frame landmarks.

    Gaps are filled within their shot. A shot without any face holds the last face seen before
    it, or the first one seen after it.

    Args:
        points: ``[T, 70, 2]`` pixels.
        found: ``[T]``, whether there is a face.
        policy: "interpolate" moves between the neighbours and holds at a shot's ends; "hold"
            keeps the face last seen (before the first one: the first); "fail" refuses.
        context: Cuts, times and the file's name.

    Returns:
        Points ``[T, 70, 2]`` and the gaps as (first frame, last frame), both inside the gap.

    Raises:
        InputError: No frame has a face, or a gap is met and the policy is "fail".
    """
    check_shape(points, "T 70 2", T=len(found))
    bounds = shot_bounds(context.cuts, len(found))
    kept = drop_short_runs(found, context.cuts)
    if not kept.any():
        raise InputError(
            f"no face was found in {context.name}",
            hint="give a file that shows a face from the front, well lit, at least 64 pixels wide",
        )
    spans = find_gaps(kept)
    if spans and policy == "fail":
        raise _refusal(spans, context)
    filled = np.array(points, dtype=np.float64)
    for first, end in bounds:
        if kept[first:end].any():
            _fill_shot(filled[first:end], kept[first:end], policy)
    seen = _shots_with_faces(bounds, kept)
    for first, end in bounds:
        if not kept[first:end].any():
            filled[first:end] = _nearest_shot_face(filled, seen, first)
    return filled.astype(np.float32), spans


def shot_bounds(cuts: Sequence[int], n_frames: int) -> list[tuple[int, int]]:
    """Turn cuts into shots as (first frame, frame after the last)."""
    edges = sorted({0, n_frames, *(int(cut) for cut in cuts if 0 < cut < n_frames)})
    return list(itertools.pairwise(edges))


def find_gaps(found: BoolArray) -> Spans:
    """List the runs of frames without a face as (first, last), both inside the run."""
    return tuple((first, end - 1) for first, end in _runs(~np.asarray(found, dtype=bool)))


def drop_short_runs(
    found: BoolArray, cuts: Sequence[int], min_frames: int = MIN_RUN_FRAMES
) -> BoolArray:
    """Ignore faces that show up for a moment only, as false detections do.

    A run that fills its shot, or is the only one in the input, is kept however short it is.

    Args:
        found: ``[T]``.
        cuts: First frame of each new shot.
        min_frames: Runs shorter than this are dropped.

    Returns:
        ``[T]`` with the short runs set to False.
    """
    kept = np.array(found, dtype=bool)
    for first, end in shot_bounds(cuts, len(kept)):
        shot = kept[first:end]
        runs = _runs(shot)
        for start, stop in runs:
            # A run at a shot's end may be a face that is cut off: only the middle is suspect.
            inside = start > 0 and stop < len(shot)
            if inside and len(runs) > 1 and stop - start < min_frames:
                shot[start:stop] = False
    return kept if kept.any() else np.array(found, dtype=bool)


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    steps = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    first, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [(int(a), int(b)) for a, b in zip(first, end, strict=True)]


def _refusal(spans: Spans, context: GapContext) -> InputError:
    first, last = spans[0]
    n_missing = sum(b - a + 1 for a, b in spans)
    return InputError(
        f"no uncovered face in frame {first} ({float(context.times_s[first]):.3f} s) of "
        f"{context.name}, up to frame {last}; {n_missing} frames in all",
        hint="use --no-face interpolate or --no-face hold to go on without it",
    )


def _fill_shot(points: F64Array, found: BoolArray, policy: GapPolicy) -> None:
    """Fill the gaps of one shot in place; it has at least one face."""
    shape = mean_shape(points[found])
    for first, end in _runs(~found):
        before, after = first - 1, end
        if before < 0:
            points[first:end] = points[after]
        elif after == len(points) or policy == "hold":
            points[first:end] = points[before]
        elif policy == "interpolate":
            share = np.arange(1, end - first + 1) / (end - first + 1)
            points[first:end] = _between(points[[before, after]], share, shape)
        elif policy == "fail":
            raise AssertionError("gaps are refused before they are filled")
        else:
            assert_never(policy)


def _between(ends: F64Array, share: F64Array, shape: F64Array) -> F64Array:
    """Move between two faces: place, size and roll on one way, expression on another.

    Args:
        ends: ``[2, 70, 2]``.
        share: ``[n]`` how much of the second face.
        shape: ``[70, 2]``.

    Returns:
        ``[n, 70, 2]``.
    """
    pose = face_similarity(ends, shape)
    local = pose.undo(ends)
    scale = pose.scale[0] * (pose.scale[1] / pose.scale[0]) ** share
    # Turning about the face's middle, not about the picture's corner.
    middle = complex(*shape[:68].mean(axis=0))
    centres = pose.scale * middle + pose.shift
    shift = centres[0] + (centres[1] - centres[0]) * share - scale * middle
    blend = local[0] + (local[1] - local[0]) * share[:, None, None]
    return Similarity(scale, shift).apply(blend)


def _shots_with_faces(bounds: list[tuple[int, int]], found: BoolArray) -> list[tuple[int, int]]:
    return [(first, end) for first, end in bounds if found[first:end].any()]


def _nearest_shot_face(points: F64Array, seen: list[tuple[int, int]], first: int) -> F64Array:
    """The face last seen before a shot, or else the first one after it."""
    before = [end for _, end in seen if end <= first]
    face: F64Array = points[before[-1] - 1] if before else points[seen[0][0]]
    return face
