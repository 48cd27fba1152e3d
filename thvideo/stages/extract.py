"""Extract: seal an input file and read its frames' exact times, colours, cuts and sound."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from thvideo.stages.base import Job, Notice, Progress, StageEvent
from thvideo.stages.footage import INFO, PICTURE, TIMES


@dataclass(frozen=True)
class Extract:
    """Seal a picture or a video into the workspace.

    The sealed copy of a video is the person's own file, byte for byte: frames are decoded from
    it when they are needed, so that nothing is compressed twice.

    Args:
        suffix: The file's extension as ``plain_suffix`` gives it: where a file's content leaves
            it open, ffmpeg takes the container that the name says.
        max_picture_side: Larger pictures are reduced to this many pixels on the longer side.
    """

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 2
    suffix: str = ""
    max_picture_side: int = 4096

    def skip_reason(self) -> str | None:
        """Extract always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``frame.png``, or ``original.*`` with ``video.json`` and ``times.npz``."""
        from thvideo.imaging.picture import is_picture

        path = job.files["file"]
        if is_picture(path):
            yield from self._seal_picture(path, job)
        else:
            yield from self._seal_video(path, job)

    def _seal_picture(self, path: Path, job: Job) -> Iterator[StageEvent]:
        from thvideo.imaging.picture import load_picture, save_png

        picture = load_picture(path, self.max_picture_side)
        with job.chunks.writing(PICTURE) as temporary:
            save_png(temporary, picture)
        height, width = picture.shape[:2]
        job.facts.update(
            kind="picture", file=PICTURE, size=[height, width], n_frames=1, cuts=[], name=path.name
        )
        yield Progress(1, 1)

    def _seal_video(self, path: Path, job: Job) -> Iterator[StageEvent]:
        from thvideo.video.probe import probe
        from thvideo.video.read import Scan, scan

        sealed = "original" + self.suffix
        info = probe(path)
        result: Scan | None = None
        for event in scan(path, info):
            if isinstance(event, Scan):
                result = event
            else:
                yield Progress(event.done, event.total)
        assert result is not None  # scan() ends with a Scan or raises
        with job.chunks.writing(sealed) as temporary:
            shutil.copyfile(path, temporary)
        with job.chunks.writing(INFO) as temporary:
            temporary.write_text(info.to_json())
        with job.chunks.writing(TIMES) as temporary:
            result.times.save(temporary)
        for text in result.notices:
            yield Notice(f"{path.name}: {text}")
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
            name=path.name,
        )


def plain_suffix(path: Path) -> str:
    """Return the file's extension if it is plain, so that the sealed name is ours alone."""
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
