"""Compare: source, driver and result side by side in one video."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from thvideo.shapes import F64Array, U8Array
from thvideo.stages.base import Job, Notice, Progress, StageEvent
from thvideo.stages.finished import join_and_listen
from thvideo.stages.footage import open_footage
from thvideo.stages.streaming import fed

COMPARISON = "compare.mp4"
_PICTURES = "pictures.mp4"
_CRF = 18


@dataclass(frozen=True)
class Compare:
    """Lay the source, the driver and the result side by side in an MP4.

    Inputs: ``identity`` (embed), ``driver`` (extract), ``video`` (composite).

    Args:
        height_px: Height of all three.
    """

    name: ClassVar[str] = "compare"
    version: ClassVar[int] = 2
    height_px: int = 480

    def skip_reason(self) -> str | None:
        """Compare always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``compare.mp4``, with the driver's times and the result's sound."""
        from moviepy import ImageClip, VideoClip, clips_array

        from thvideo.imaging.turn import turn_back
        from thvideo.synthesis.identity import load_identity
        from thvideo.video.audio import driver_sound
        from thvideo.video.drift import read_shown
        from thvideo.video.encode import EncodeSettings
        from thvideo.video.probe import probe
        from thvideo.video.read import read_frames
        from thvideo.video.write import encode_chunk

        driver = open_footage(job.inputs["driver"])
        assert driver.info is not None and driver.times is not None  # checked by reenact
        times = driver.times
        times_s, duration_s = times.seconds(), times.duration_s
        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        picture = turn_back(identity.picture, identity.quarter)
        video = job.inputs["video"]
        result_path = video.file(video.fact("file", str))
        result_info = probe(result_path)
        driver_size = self._size_of(driver.size)
        driver_frames = read_frames(driver.path, driver.info, height_width=driver_size)
        result_frames = read_frames(
            result_path, result_info, height_width=self._size_of(result_info.size)
        )
        yield Progress(0, driver.n_frames)
        columns = [
            ImageClip(_fit(picture, self._size_of(picture.shape[:2]))).with_duration(duration_s),
            VideoClip(_Player(driver_frames, times_s), duration=duration_s),
            VideoClip(_Player(result_frames, times_s), duration=duration_s),
        ]
        clip = clips_array([columns])
        frames = (np.asarray(clip.get_frame(time_s), np.uint8)[None] for time_s in times_s)
        settings = EncodeSettings(crf=_CRF, threads=job.resources.threads)
        with job.chunks.writing(_PICTURES) as path:
            encode = partial(
                encode_chunk, path, times=times, start=0, stop=driver.n_frames, settings=settings
            )
            for done in fed(encode, frames):
                yield Progress(done, driver.n_frames)
        clip.close()
        sound = driver_sound(result_path, read_shown(result_path).start)
        with job.chunks.writing(COMPARISON) as path:
            finished = join_and_listen([job.chunks.path(_PICTURES)], path, times, settings, sound)
        for text in finished.notices:
            yield Notice(text)
        job.chunks.keep_only(COMPARISON)
        job.facts.update(file=COMPARISON)

    def _size_of(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Return the even (height, width) of a column."""
        height, width = size[:2]
        return self.height_px, max(2, round(width * self.height_px / height / 2) * 2)


class _Player:
    """Plays a stream of frames forwards: the frame that is shown at a time, for MoviePy."""

    def __init__(self, batches: Iterator[U8Array], times_s: F64Array) -> None:
        self._frames = (frame for batch in batches for frame in batch)
        self._times_s = times_s
        self._index = 0
        self._frame = next(self._frames)

    def __call__(self, time_s: float) -> U8Array:
        # Half a millisecond absorbs the rounding of MoviePy's own clock.
        wanted = int(np.searchsorted(self._times_s, time_s + 5e-4, side="right")) - 1
        while self._index < wanted:
            self._frame = next(self._frames, self._frame)
            self._index += 1
        return self._frame


def _fit(picture: U8Array, size: tuple[int, int]) -> U8Array:
    import cv2

    height, width = size
    fitted = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(fitted, dtype=np.uint8)
