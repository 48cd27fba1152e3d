"""Extract: seal an input file and read its frames' exact times, colours, cuts and sound."""

import re
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from thvideo.shapes import MAX_SIDE_PX
from thvideo.stages.base import Job, Notice, Progress, StageEvent
from thvideo.stages.footage import FRAMES, INFO, PICTURE, TIMES
from thvideo.stages.streaming import fed

if TYPE_CHECKING:
    from thvideo.video.probe import VideoInfo
    from thvideo.video.read import Scan


@dataclass(frozen=True)
class Extract:
    """Seal a picture or a video into the workspace.

    The sealed copy of a video is the person's own file, byte for byte: frames are decoded from
    it when they are needed, so that nothing is compressed twice. An animated picture becomes a
    video without loss, its frames as a still picture would be.

    Args:
        suffix: The file's extension as ``plain_suffix`` gives it: where a file's content leaves
            it open, ffmpeg takes the container that the name says.
        max_picture_side: Larger pictures are reduced to this many pixels on the longer side.
    """

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 4
    suffix: str = ""
    max_picture_side: int = MAX_SIDE_PX

    def skip_reason(self) -> str | None:
        """Extract always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``frame.png``, or ``original.*`` with ``video.json`` and ``times.npz``."""
        from thvideo.imaging.picture import picture_kind

        path = job.files["file"]
        match picture_kind(path):
            case "still":
                yield from self._seal_picture(path, job)
            case "animation":
                yield from self._seal_animation(path, job)
            case None:
                yield from self._seal_video(path, job)

    def _seal_picture(self, path: Path, job: Job) -> Iterator[StageEvent]:
        from thvideo.imaging.picture import read_picture, save_png

        picture, notices = read_picture(path, self.max_picture_side)
        with job.chunks.writing(PICTURE) as temporary:
            save_png(temporary, picture)
        height, width = picture.shape[:2]
        job.facts.update(
            kind="picture", file=PICTURE, size=[height, width], n_frames=1, cuts=[], name=path.name
        )
        yield Progress(1, 1)
        for text in notices:
            yield Notice(f"{path.name}: {text}")

    def _seal_animation(self, path: Path, job: Job) -> Iterator[StageEvent]:
        from thvideo.imaging.picture import Animation
        from thvideo.video.probe import probe
        from thvideo.video.timing import FrameTimes
        from thvideo.video.write import write_crop_chunk

        animation = Animation(path, self.max_picture_side)
        with job.chunks.writing(FRAMES) as temporary:
            write = partial(write_crop_chunk, temporary, n_frames=animation.n_frames)
            for done in fed(write, animation.frames()):
                yield Progress(done, animation.n_frames)
        sealed = job.chunks.path(FRAMES)
        result = yield from _scanned(sealed, info := probe(sealed))
        # Matroska rounds times; those of the file are kept.
        times = FrameTimes.of_durations_ms(animation.durations_ms)
        found = replace(result, times=times, notices=animation.notices)
        yield from _note(path.name, FRAMES, info, found, job)

    def _seal_video(self, path: Path, job: Job) -> Iterator[StageEvent]:
        from thvideo.video.probe import probe

        sealed = "original" + self.suffix
        result = yield from _scanned(path, info := probe(path))
        with job.chunks.writing(sealed) as temporary:
            shutil.copyfile(path, temporary)
        yield from _note(path.name, sealed, info, result, job)


def _scanned(path: Path, info: "VideoInfo") -> Generator[StageEvent, None, "Scan"]:
    from thvideo.video.read import Scan, scan

    for event in scan(path, info):
        if isinstance(event, Scan):
            return event
        yield Progress(event.done, event.total)
    raise AssertionError("scan() ends with a Scan or raises")


def _note(
    name: str, sealed: str, info: "VideoInfo", result: "Scan", job: Job
) -> Iterator[StageEvent]:
    """Write beside a sealed video what was found out about it."""
    with job.chunks.writing(INFO) as temporary:
        temporary.write_text(info.to_json())
    with job.chunks.writing(TIMES) as temporary:
        result.times.save(temporary)
    for text in result.notices:
        yield Notice(f"{name}: {text}")
    job.facts.update(
        kind="video",
        file=sealed,
        size=list(info.size),
        n_frames=result.times.n_frames,
        cuts=list(result.cuts),
        rate=str(result.times.rate),
        is_constant_rate=result.times.is_constant,
        duration_s=result.times.duration_s,
        has_audio=info.has_audio,
        name=name,
    )


def plain_suffix(path: Path) -> str:
    """Return the file's extension if it is plain, so that the sealed name is ours alone."""
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
