"""Compare: source, driver and result side by side in one video."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thvideo.shapes import F64Array, U8Array
from thvideo.stages.base import Job, Progress, StageEvent
from thvideo.stages.footage import open_footage

COMPARISON = "compare.mp4"


@dataclass(frozen=True)
class Compare:
    """Lay the source, the driver and the result side by side in an MP4.

    Inputs: ``identity`` (embed), ``driver`` (extract), ``video`` (composite).

    Args:
        height_px: Height of all three.
    """

    name: ClassVar[str] = "compare"
    version: ClassVar[int] = 1
    height_px: int = 480

    def skip_reason(self) -> str | None:
        """Compare always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``compare.mp4``."""
        from moviepy import AudioFileClip, ImageClip, VideoClip, clips_array

        from thvideo.imaging.turn import turn_back
        from thvideo.synthesis.identity import load_identity
        from thvideo.video.probe import probe
        from thvideo.video.read import read_frames

        driver = open_footage(job.inputs["driver"])
        assert driver.info is not None and driver.times is not None  # checked by reenact
        times_s, duration_s = driver.times.seconds(), driver.times.duration_s
        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        picture = turn_back(identity.picture, identity.quarter)
        result_path = job.inputs["video"].file(job.inputs["video"].manifest.facts["file"])
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
        if result_info.has_audio:
            sound = AudioFileClip(str(result_path))
            clip = clip.with_audio(sound.subclipped(0, min(sound.duration, duration_s)))
        with job.chunks.writing(COMPARISON) as temporary:
            clip.write_videofile(
                str(temporary),
                fps=float(driver.times.rate),
                codec="libx264",
                audio_codec="aac",
                pixel_format="yuv420p",
                ffmpeg_params=["-crf", "18", "-movflags", "+faststart"],
                temp_audiofile_path=str(job.chunks.folder),
                logger=None,
            )
        clip.close()
        job.facts.update(file=COMPARISON)
        yield Progress(driver.n_frames, driver.n_frames)

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
