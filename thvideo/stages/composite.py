"""Composite: return the crops into the full picture, encode, and add the sound."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from thvideo.shapes import U8Array, frames_at_once, reduced
from thvideo.stages.base import Container, Job, Notice, Progress, StageEvent
from thvideo.stages.finished import join_and_listen
from thvideo.stages.footage import Footage, open_footage
from thvideo.stages.streaming import chunk_bounds, fed, read_chunk

if TYPE_CHECKING:
    from thvideo.imaging.blend import OutputPlan
    from thvideo.synthesis.identity import Identity
    from thvideo.video.audio import Sound

#: The role of the crops, which may be taken while they are drawn.
CROPS = "crops"

#: Output frames made at once.
_BATCH = 8

Framing = Literal["full", "crop"]
AudioChoice = Literal["driver", "none", "file"]


@dataclass(frozen=True)
class Composite:
    """Encode the finished video.

    Inputs: ``identity`` (embed), ``crops`` (reenact; they may arrive while they are drawn),
    ``driver`` (extract). Files: ``audio`` when ``audio`` is "file".

    Args:
        framing: The whole source picture, or only the crop.
        max_side: The output's longer side is at most this many pixels.
        container: The output's container, by its extension.
        audio: The driver's sound, none, or a file's.
        crf: H.264 constant rate factor; smaller is better and larger.
    """

    name: ClassVar[str] = "composite"
    version: ClassVar[int] = 4
    framing: Framing = "full"
    max_side: int = 1080
    container: Container = "mp4"
    audio: AudioChoice = "driver"
    crf: int = 16

    def skip_reason(self) -> str | None:
        """Composite always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``video.*``, encoded in chunks and joined, and measure its drift."""
        from thvideo.synthesis.identity import load_identity
        from thvideo.video.encode import EncodeSettings
        from thvideo.video.write import encode_chunk

        driver = open_footage(job.inputs["driver"])
        assert driver.times is not None  # reenact refuses a driver that is a picture
        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        settings = EncodeSettings(self.container, self.crf, threads=job.resources.threads)
        times = driver.times
        finish, n_at_once = self._finisher(identity), self._n_at_once(identity)
        bounds = chunk_bounds(driver.n_frames, job.resources.chunk_frames)
        # The frames are in the name: an interrupted run may have used another chunk size.
        names = [f"chunk-{start:06d}-{stop:06d}.mp4" for start, stop in bounds]
        for name, (start, stop) in zip(names, bounds, strict=True):
            if not job.chunks.is_done(name):
                frames = map(finish, _crops(job, start, stop, n_at_once))
                with job.chunks.writing(name) as path:
                    encode = partial(
                        encode_chunk, path, times=times, start=start, stop=stop, settings=settings
                    )
                    for done in fed(encode, frames):
                        yield Progress(start + done, driver.n_frames)
            yield Progress(stop, driver.n_frames)
        if CROPS in job.arriving:
            job.arriving[CROPS].leave()
        sound, result = self._sound(driver, job), f"video.{self.container}"
        with job.chunks.writing(result) as path:
            chunks = [job.chunks.path(name) for name in names]
            finished = join_and_listen(chunks, path, times, settings, sound)
        for text in finished.notices:
            yield Notice(text)
        job.chunks.keep_only(result)
        job.facts.update(file=result, n_frames=driver.n_frames, **finished.facts(self.container))

    def _n_at_once(self, identity: "Identity") -> int:
        """Return how many frames of the output are made together: few of large ones."""
        shown = identity.picture if self.framing == "full" else identity.crops[0]
        height, width = shown.shape[:2]
        return frames_at_once(reduced((height, width), self.max_side), _BATCH)

    def _finisher(self, identity: "Identity") -> Callable[[U8Array], U8Array]:
        """Return what turns crops ``[B, S, S, 3]`` into output frames ``[B, H, W, 3]``."""
        from thvideo.imaging import blend
        from thvideo.imaging.crop import Box, scale_crop
        from thvideo.imaging.turn import turn_back

        valid = Box(*(int(value) for value in identity.valid[0]))
        # The video lies as the picture did.
        back = partial(turn_back, quarter=identity.quarter)
        if self.framing == "crop":
            rows, columns = blend.inner_box(valid).slices
            shown = identity.crops[:1, rows, columns]
            plan = blend.output_plan(shown.shape[1], shown.shape[2], self.max_side)
            return lambda crops: back(_resized(crops[:, rows, columns], plan))
        height, width = identity.picture.shape[:2]
        plan = blend.output_plan(height, width, self.max_side)
        picture = blend.resize_to_plan(identity.picture, plan)
        mask = blend.feather_mask(identity.crop.size_px, valid)
        crop = scale_crop(identity.crop, plan.scale)
        pasting = blend.plan_paste(picture, crop, identity.crops[0], mask)
        return lambda crops: back(blend.full_frames(pasting, blend.paste(pasting, crops)))

    def _sound(self, driver: Footage, job: Job) -> "Sound | None":
        from thvideo.video.audio import driver_sound, file_sound

        if self.audio == "none" or self.container == "gif":
            return None
        if self.audio == "file":
            return file_sound(job.files["audio"])
        assert driver.times is not None  # a driver is a video
        return driver_sound(driver.path, driver.times.start)


def _resized(frames: U8Array, plan: "OutputPlan") -> U8Array:
    from thvideo.imaging.blend import resize_to_plan

    return np.stack([resize_to_plan(frame, plan) for frame in frames])


def _crops(job: Job, start: int, stop: int, n_at_once: int) -> Iterator[U8Array]:
    """Yield the crops of frames ``start .. stop - 1`` in small batches, however they come."""
    # The maker's batches are as large as its device likes; frames of the output are larger.
    for batch in _batches(job, start, stop):
        for first in range(0, len(batch), n_at_once):
            yield batch[first : first + n_at_once]


def _batches(job: Job, start: int, stop: int) -> Iterator[U8Array]:
    if CROPS in job.arriving:
        yield from job.arriving[CROPS].take(start, stop)
        return
    artifact = job.inputs[CROPS]
    for name, first, end in artifact.fact("chunks", list[tuple[str, int, int]]):
        if first < stop and start < end:
            part = (max(start, first) - first, min(stop, end) - first)
            yield from read_chunk(artifact.file(name), *part)
