"""One video becomes clips: cut at its scenes, followed, cropped, labelled and encoded.

A picture becomes a clip of one frame.
"""

import functools
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from thvideo.errors import InputError, StageError, WorkspaceError
from thvideo.imaging.crop import take_crop, valid_box
from thvideo.imaging.picture import load_picture
from thvideo.landmarks.choice import FaceChoice
from thvideo.landmarks.follow import FollowedBatch, follow
from thvideo.landmarks.tracker import Tracker
from thvideo.landmarks.upright import stand
from thvideo.models.precision import Precision
from thvideo.shapes import F32Array, I64Array, U8Array
from thvideo.stages.prepare_options import PrepareOptions, VideoTask, Workers
from thvideo.stages.prepare_plan import (
    TRACK_FPS,
    Followed,
    PlannedClip,
    frames_at,
    plan_clips,
    plan_picture,
)
from thvideo.stages.video_tree import is_picture_name
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

# Larger pictures are reduced: their crop is smaller by far.
_LONGEST_PX = 2048


class _Looked(NamedTuple):
    """What was found in a video or a picture: clips, rejects, its numbered frames and its size."""

    planned: list[PlannedClip]
    rejects: list[Reject]
    stream: Iterator[tuple[int, U8Array]]
    size: tuple[int, int]


def bundled_tracker(workers: Workers, precision: Precision) -> Tracker:
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
    return BundledTracker(str(choose_device(workers.device)), precision)


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
            look = _look_at_picture if is_picture_name(task.video) else _look_at_video
            planned, rejects, stream, size = look(path, options, tracker)
            for number, clip in enumerate(planned):
                clips.append(_make(clip, clip_name(key, number), stream, size, dataset, options))
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


def _look_at_video(path: Path, options: PrepareOptions, tracker: Tracker) -> _Looked:
    info = probe(path)
    planned, rejects = plan_clips(_follow(path, info, options, tracker), options)
    return _Looked(planned, rejects, _numbered(path, info, planned), info.size)


def _look_at_picture(path: Path, options: PrepareOptions, tracker: Tracker) -> _Looked:
    picture = load_picture(path, _LONGEST_PX)
    batches = follow(iter([picture[None]]), tracker, FaceChoice(), (), name=path.name)
    (batch,) = batches
    points = _standing(batch)
    planned, rejects = plan_picture(points, options)
    height, width = picture.shape[:2]
    return _Looked(planned, rejects, iter([(0, picture)]), (height, width))


def _follow(path: Path, info: VideoInfo, options: PrepareOptions, tracker: Tracker) -> Followed:
    """Find the scenes, and the landmarks of one face, at about the rate that is wanted."""
    scanned: Scan | None = None
    for event in scan(path, info):
        scanned = event if isinstance(event, Scan) else None
    assert scanned is not None  # scan() ends with a Scan or raises
    times_s = scanned.times.seconds()
    frames = frames_at(times_s, max(options.fps, TRACK_FPS))
    cuts = np.unique(np.searchsorted(frames, scanned.cuts)).tolist()
    cuts = tuple(int(cut) for cut in cuts if 0 < cut < len(frames))
    batches = _chosen(path, info, frames)
    followed = follow(batches, tracker, FaceChoice(), cuts, name=path.name)
    raw = np.concatenate([_standing(batch) for batch in followed])
    if len(raw) != len(frames):
        raise StageError(f"{path} gave {len(raw)} frames instead of {len(frames)}")
    return Followed(frames, times_s[frames], raw, cuts)


def _standing(batch: FollowedBatch) -> F32Array:
    """Landmarks ``[B, 70, 2]``, NaN without a face and of one on its side: crops are upright."""
    kept = batch.found & stand(batch.points)
    return np.where(kept[:, None, None], batch.points, np.float32(np.nan))


def _chosen(path: Path, info: VideoInfo, frames: I64Array) -> Iterator[U8Array]:
    """Decode a video and let through the frames with these numbers."""
    first = 0
    for batch in read_frames(path, info, stop=int(frames[-1]) + 1, batch=16):
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
    for batch in read_frames(path, info, start=number, stop=stop, batch=16):
        for frame in batch:
            yield number, frame
            number += 1


def _make(
    clip: PlannedClip,
    name: str,
    stream: Iterator[tuple[int, U8Array]],
    size: tuple[int, int],
    dataset: Path,
    options: PrepareOptions,
) -> ClipEntry:
    """Write a clip's two files."""
    unfinished = dataset / UNFINISHED / uuid.uuid4().hex
    beside = {suffix: unfinished.with_suffix(suffix) for suffix in (".npz", ".mp4")}
    write_clip(beside[".mp4"], _crops(stream, clip), len(clip.frames), options.fps)
    write_labels(beside[".npz"], clip.points, valid_box(clip.crop, *size))
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
