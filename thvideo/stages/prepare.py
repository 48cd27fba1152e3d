"""Prepare: any folder tree of videos becomes a dataset to train on.

It is no stage of the workspace: the dataset itself is the product, and may be larger than any
workspace. It yields a stage's events, and what is finished survives a kill all the same.
"""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thvideo.errors import InputError, UsageError, WorkspaceError
from thvideo.reading import json_of
from thvideo.stages.base import Notice, Progress, StageEvent
from thvideo.stages.crew import Died, in_processes
from thvideo.stages.prepare_options import (
    PrepareOptions,
    TableOptions,
    VideoTask,
    Workers,
    keep_options,
)
from thvideo.stages.video_tree import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Identities, walk_videos
from thvideo.workspace.durable import disk_errors_explained, remove_dead_parts

if TYPE_CHECKING:
    from thvideo.landmarks.tracker import Tracker
    from thvideo.training.dataset_write import Record

REPORT = "report.json"
OPTIONS, _LOCK = "prepare.json", ".lock"
_GO_ON = "then run the same command again: what is finished is kept"


@dataclass(frozen=True)
class PrepareJob:
    """What to prepare, and how.

    Args:
        videos: The folder tree.
        dataset: The folder to write; made if it is absent.
        options: What clips are like.
        table: How people get their names and their split.
        workers: How to run.
        with_pictures: Whether still pictures become clips of one frame.
        make_tracker: Called in every worker process; None loads the bundled tracker.
    """

    videos: Path
    dataset: Path
    options: PrepareOptions
    table: TableOptions
    workers: Workers
    with_pictures: bool = False
    make_tracker: "Callable[[], Tracker] | None" = None

    def walk(self) -> Iterator[str]:
        """Yield the paths of all videos, and of pictures where they are wanted."""
        return walk_videos(self.videos, self.dataset, with_pictures=self.with_pictures)

    @property
    def unit(self) -> str:
        """What is counted, in the plural."""
        return "files" if self.with_pictures else "videos"


@dataclass
class _Walk:
    """What a walk over the videos has met so far."""

    n_done: int = 0
    is_changed: bool = False


def prepare(job: PrepareJob) -> Iterator[StageEvent]:
    """Make clips of all videos that have none yet, then the tables, the sheet and the report.

    A video is known by its path below the folder and by its size. Videos that are gone keep their
    clips. In the end the numbers are in the dataset's ``report.json``.

    Raises:
        InputError: There is no video, or the table of identities cannot be used.
        UsageError: The dataset was begun with other options, or the folder holds something else.
        WorkspaceError: The dataset cannot be written, or another run is writing it.
    """
    if not job.videos.is_dir():
        raise InputError(
            f"{job.videos} is not a folder", hint="give the folder that holds the videos"
        )
    identities = Identities(job.table.identity_from)
    try:
        with disk_errors_explained(job.dataset), _owned(job.dataset):
            yield from _run(job, identities)
    except WorkspaceError as error:
        # Of a disk that refuses: here is no workspace to choose another place for.
        if "--workspace" not in error.hint:
            raise
        raise WorkspaceError(error.fact, hint=f"free or allow some space, {_GO_ON}") from error


@contextmanager
def _owned(dataset: Path) -> Iterator[None]:
    """Hold a dataset's folder against other runs, with an empty folder for what is unfinished."""
    from filelock import FileLock, Timeout

    from thvideo.training.dataset_write import UNFINISHED

    if dataset.exists() and not dataset.is_dir():
        raise UsageError(f"{dataset} is a file", hint="give a folder with -o")
    try:
        dataset.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{dataset} cannot be made ({error.strerror})", hint="give another folder with -o"
        ) from error
    others = {entry.name for entry in dataset.iterdir()} - {_LOCK, UNFINISHED}
    if others and OPTIONS not in others:
        raise UsageError(
            f"{dataset} holds something else than a dataset of thvideo prepare",
            hint="give a new folder with -o",
        )
    try:
        lock = FileLock(dataset / _LOCK).acquire(timeout=0)
    except Timeout:
        raise WorkspaceError(
            f"another run is writing {dataset}", hint="wait for it, or give another folder with -o"
        ) from None
    with lock:
        shutil.rmtree(dataset / UNFINISHED, ignore_errors=True)
        remove_dead_parts(dataset)
        (dataset / UNFINISHED).mkdir()
        try:
            yield
        finally:
            shutil.rmtree(dataset / UNFINISHED, ignore_errors=True)


def _run(job: PrepareJob, identities: Identities) -> Iterator[StageEvent]:
    from thvideo.training.dataset_write import record_paths

    n_videos, n_loose = 0, 0
    for video in job.walk():
        n_videos += 1
        n_loose += "/" not in video
    if n_videos == 0:
        wanted, kinds = "video", " ".join(sorted(VIDEO_SUFFIXES))
        if job.with_pictures:
            wanted, kinds = "video and no picture", f"{kinds} {' '.join(sorted(PICTURE_SUFFIXES))}"
        else:
            kinds += "; still pictures with --pictures"
        raise InputError(
            f"there is no {wanted} in {job.videos}", hint=f"these are looked for: {kinds}"
        )
    if n_loose and job.table.identity_from is None:
        yield Notice(
            f"{n_loose} of {n_videos} {job.unit} lie in no person's folder: each counts as a "
            "person of its own; --identity-from TABLE says who they are"
        )
    is_begun = next(record_paths(job.dataset), None) is not None
    keep_options(job.dataset / OPTIONS, job.options, is_begun=is_begun)
    walk = _Walk()
    yield Progress(0, n_videos, job.unit)
    begin = functools.partial(_begin, job)
    for task, result in in_processes(begin, _tasks(job, identities, walk), job.workers.n):
        if isinstance(result, Died):
            detail = f"its process ended with code {result.exit_code}"
            _write_fault(job, task, detail)
            yield Notice(f"{task.video}: {detail}; it is tried again next time")
        walk.n_done += 1
        yield Progress(walk.n_done, n_videos, job.unit)
    yield Progress(walk.n_done, n_videos, job.unit)
    if walk.is_changed or not _is_finished(job):
        yield from _finish(job)


def _begin(job: PrepareJob) -> "Callable[[VideoTask], Record]":
    """Set a worker process up."""
    from thvideo.stages.prepare_clips import bundled_tracker, video_worker

    make_tracker = job.make_tracker or functools.partial(
        bundled_tracker, job.workers, job.options.precision
    )
    return video_worker(job.videos, job.dataset, job.options, make_tracker)


def _tasks(job: PrepareJob, identities: Identities, walk: _Walk) -> Iterator[VideoTask]:
    """Yield the videos that have to be worked on; the others are settled on the way."""
    from thvideo.training.dataset_write import (
        Record,
        read_record,
        record_path,
        video_key,
        write_record,
    )

    for video in job.walk():
        task = VideoTask(video, _n_bytes(job.videos / video), identities.of(video))
        record = read_record(record_path(job.dataset, video_key(video)))
        if record is not None and (record.n_bytes != task.n_bytes or record.is_to_be_tried_again):
            record = None
        if record is not None and record.identity == task.identity:
            walk.n_done += 1
            continue
        # Should this run be killed, a report would call the old tables finished.
        (job.dataset / REPORT).unlink(missing_ok=True)
        walk.is_changed = True
        is_worked_on = record is not None and bool(record.clips or record.rejects)
        if task.identity and not is_worked_on:
            yield task
            continue
        if record is None:
            record = Record(video, task.n_bytes, "", float(job.options.fps))
        write_record(job.dataset, dataclasses.replace(record, identity=task.identity))
        walk.n_done += 1


def _n_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _write_fault(job: PrepareJob, task: VideoTask, detail: str) -> None:
    from thvideo.training.dataset_write import Record, Reject, write_record

    rejects = (Reject("fault", detail),)
    fps = float(job.options.fps)
    write_record(job.dataset, Record(task.video, task.n_bytes, task.identity, fps, (), rejects))


def _facts(job: PrepareJob) -> dict[str, Any]:
    table = {"val_share": job.table.val_share, "split_seed": job.table.split_seed}
    return {"options": job.options.to_json(), "table": table}


def _is_finished(job: PrepareJob) -> bool:
    """Whether the tables were written after the last record, with these options."""
    with suppress(OSError, ValueError):
        report = json_of((job.dataset / REPORT).read_text(encoding="utf-8"))
        return all(report.get(name) == value for name, value in _facts(job).items())
    return False


def _finish(job: PrepareJob) -> Iterator[StageEvent]:
    from thvideo.training.dataset_report import write_report, write_sheet
    from thvideo.training.dataset_write import write_tables

    (job.dataset / REPORT).unlink(missing_ok=True)
    counts = write_tables(job.dataset, job.table.val_share, job.table.split_seed)
    write_sheet(job.dataset)
    write_report(job.dataset / REPORT, _facts(job) | counts.to_json())
    empty = [split for split, people in counts.people.items() if not people & counts.moving]
    if empty and sum(counts.n_clips.values()):
        reasons = {0: "there are still pictures alone", 1: "all videos are of one person"}
        yield Notice(
            f"nobody is left for {' and '.join(empty)}: "
            + reasons.get(len(counts.moving), "--val-share says so")
            + ", and thvideo metatrain needs videos of people in both"
        )
