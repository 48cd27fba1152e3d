"""One video becomes clips: cut at its scenes, followed, cropped, labelled and encoded."""

import dataclasses
import functools
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from thvideo.errors import InputError, StageError, WorkspaceError
from thvideo.imaging.crop import Crop, crop_for_face, take_crop, to_crop, valid_box
from thvideo.landmarks.choice import FaceChoice
from thvideo.landmarks.follow import follow
from thvideo.landmarks.gaps import drop_short_runs, find_gaps, shot_bounds
from thvideo.landmarks.smooth import smooth
from thvideo.landmarks.tracker import Tracker
from thvideo.shapes import BoolArray, F32Array, F64Array, I64Array, U8Array
from thvideo.stages.prepare_options import MIN_CLIP_FRAMES, PrepareOptions, VideoTask, Workers
from thvideo.training.dataset import clip_path
from thvideo.training.dataset_write import (
    UNFINISHED,
    ClipEntry,
    Record,
    Reject,
    clip_name,
    read_record,
    record_path,
    remove_clips,
    video_key,
    write_labels,
    write_record,
)
from thvideo.video.probe import VideoInfo, probe
from thvideo.video.read import Scan, read_frames, scan
from thvideo.video.write import write_clip
from thvideo.workspace.durable import disk_errors_explained, fsync_file

# The crop of the clips on which the warp and the networks are measured.
CROP_SCALE, CROP_LIFT = 2.27, 0.2
# Labels lose their jitter as a driver's landmarks do when a generator is shown them; blinks stay.
SMOOTH = 1.0
# Faces are followed at this rate at least, however few frames are kept: they move meanwhile.
_TRACK_FPS = Fraction(25)
# A face that wanders farther than so many of its own heights gets another crop, and so another
# clip: one crop for all of it would have to be larger than `imaging.crop.FACE_SCALE`.
_MAX_SPAN = 1.75
_BATCH_BYTES = 64_000_000


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


def bundled_tracker(workers: Workers) -> Tracker:
    """Load the tracker that ships with the package into a worker process.

    Raises:
        DeviceError: the device is not there.
    """
    import torch

    from thvideo.landmarks.bundled import BundledTracker
    from thvideo.synthesis.device import choose_device

    # The processes are the parallelism; threads inside them would fight for the same cores.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return BundledTracker(str(choose_device(workers.device)), workers.precision)


def video_worker(
    videos: Path, dataset: Path, options: PrepareOptions, make_tracker: Callable[[], Tracker]
) -> Callable[[VideoTask], Record]:
    """Load the tracker and return what makes clips of one video after another."""
    # What a killed worker leaves is removed with this folder when the next run begins.
    tempfile.tempdir = str(dataset / UNFINISHED)
    return functools.partial(
        prepare_video, videos=videos, dataset=dataset, options=options, tracker=make_tracker()
    )


def prepare_video(
    task: VideoTask, videos: Path, dataset: Path, options: PrepareOptions, tracker: Tracker
) -> Record:
    """Make all clips of a video, then its record.

    Raises:
        WorkspaceError: the dataset's disk is full or cannot be written.
    """
    key = video_key(task.video)
    clips: list[ClipEntry] = []
    rejects: list[Reject] = []
    try:
        with disk_errors_explained(dataset):
            old = read_record(record_path(dataset, key))
            if old is not None:
                remove_clips(dataset, old)
            path = videos / task.video
            info = probe(path)
            followed = _follow(path, info, options, tracker)
            planned, rejects = plan_clips(followed, options)
            stream = _numbered(path, info, planned)
            for number, clip in enumerate(planned):
                clips.append(_make(clip, clip_name(key, number), stream, info, dataset, options))
    except WorkspaceError:
        raise
    except (InputError, StageError) as error:
        # Where the folder of videos lies is no business of the tables.
        detail = error.fact.replace(str(videos / task.video), "the video")
        rejects.append(Reject("unreadable", detail))
    except Exception as error:  # a fault with one video is no reason to leave the others
        rejects.append(Reject("fault", f"{type(error).__name__}: {error}"))
    made = (tuple(clips), tuple(rejects))
    record = Record(task.video, task.n_bytes, task.identity, float(options.fps), *made)
    with disk_errors_explained(dataset):
        write_record(dataset, record)
    return record


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
    if options.fps < _TRACK_FPS:
        places = places[frames_at(followed.times_s[places] - span_s[0], options.fps)]
    if len(places) < MIN_CLIP_FRAMES:
        detail = f"{len(places)} frames without a cut or a jump, {MIN_CLIP_FRAMES} are needed"
        rejects.append(Reject("cut", detail, *span_s))
        return
    face_px = float(np.median(_face_sizes(followed.points[places])))
    if face_px < options.min_face_px:
        detail = f"{face_px:.0f} px, {options.min_face_px} are needed"
        rejects.append(Reject("face too small", detail, *span_s))
        return
    n_parts = -(-len(places) // options.max_frames)
    for part in np.array_split(places, n_parts):
        points = followed.points[part]
        crop = crop_for_face(points, options.size_px, CROP_SCALE, CROP_LIFT)
        clips.append(
            PlannedClip(
                frames=followed.frames[part],
                points=to_crop(points, crop).astype(np.float32),
                crop=crop,
                face_px=float(np.median(_face_sizes(points))),
                start_s=float(followed.times_s[part[0]]),
            )
        )


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


def _follow(path: Path, info: VideoInfo, options: PrepareOptions, tracker: Tracker) -> Followed:
    """Find the scenes, and the landmarks of one face, at about the rate that is wanted."""
    scanned: Scan | None = None
    for event in scan(path, info):
        scanned = event if isinstance(event, Scan) else None
    assert scanned is not None  # scan() ends with a Scan or raises
    times_s = scanned.times.seconds()
    frames = frames_at(times_s, max(options.fps, _TRACK_FPS))
    cuts = np.unique(np.searchsorted(frames, scanned.cuts)).tolist()
    cuts = tuple(int(cut) for cut in cuts if 0 < cut < len(frames))
    batches = _chosen(path, info, frames)
    parts = [
        np.where(batch.found[:, None, None], batch.points, np.nan)
        for batch in follow(batches, tracker, FaceChoice(), cuts, name=path.name)
    ]
    raw = np.concatenate(parts).astype(np.float32)
    if len(raw) != len(frames):
        raise StageError(f"{path} gave {len(raw)} frames instead of {len(frames)}")
    return Followed(frames, times_s[frames], raw, cuts)


def _chosen(path: Path, info: VideoInfo, frames: I64Array) -> Iterator[U8Array]:
    """Decode a video and let through the frames with these numbers."""
    first = 0
    for batch in read_frames(path, info, stop=int(frames[-1]) + 1, batch=_batch_size(info)):
        low, high = np.searchsorted(frames, [first, first + len(batch)])
        first_of_batch, first = first, first + len(batch)
        if high > low:
            yield batch[frames[low:high] - first_of_batch]


def _numbered(
    path: Path, info: VideoInfo, planned: list[PlannedClip]
) -> Iterator[tuple[int, U8Array]]:
    """Yield number and picture of all frames from the first clip's first to the last one's last."""
    if not planned:
        return
    number, stop = int(planned[0].frames[0]), int(planned[-1].frames[-1]) + 1
    for batch in read_frames(path, info, start=number, stop=stop, batch=_batch_size(info)):
        for frame in batch:
            yield number, frame
            number += 1


def _batch_size(info: VideoInfo) -> int:
    height, width = info.size
    return max(1, min(16, _BATCH_BYTES // (height * width * 3)))


def _make(
    clip: PlannedClip,
    name: str,
    stream: Iterator[tuple[int, U8Array]],
    info: VideoInfo,
    dataset: Path,
    options: PrepareOptions,
) -> ClipEntry:
    """Write a clip's two files."""
    unfinished = dataset / UNFINISHED / uuid.uuid4().hex
    beside = {suffix: unfinished.with_suffix(suffix) for suffix in (".npz", ".mp4")}
    write_clip(beside[".mp4"], _crops(stream, clip), len(clip.frames), options.fps)
    write_labels(beside[".npz"], clip.points, valid_box(clip.crop, *info.size))
    clip_path(dataset, name, ".mp4").parent.mkdir(parents=True, exist_ok=True)
    fsync_file(beside[".npz"])
    beside[".npz"].replace(clip_path(dataset, name, ".npz"))
    fsync_file(beside[".mp4"])
    beside[".mp4"].replace(clip_path(dataset, name, ".mp4"))
    return ClipEntry(
        clip=name,
        n_frames=len(clip.frames),
        crop_px=round(clip.crop.side_px, 2),
        face_px=round(clip.face_px, 2),
        start_s=round(clip.start_s, 4),
    )


def _crops(stream: Iterator[tuple[int, U8Array]], clip: PlannedClip) -> Iterator[U8Array]:
    """Take a clip's frames off the stream, up to its last one, as `[1, S, S, 3]`."""
    wanted = iter(clip.frames.tolist())
    next_wanted = next(wanted, None)
    while next_wanted is not None:
        number, frame = next(stream, (None, None))
        if number is None or frame is None:
            raise StageError("the video ended before a clip's last frame")
        if number == next_wanted:
            yield take_crop(frame, clip.crop)[0][None]
            next_wanted = next(wanted, None)
