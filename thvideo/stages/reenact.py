"""Reenact: move the source crop as the driver moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from thvideo.errors import InputError
from thvideo.shapes import F64Array, U8Array
from thvideo.stages.base import GeneratorName, Job, Progress, StageEvent
from thvideo.stages.streaming import chunk_bounds, fed

if TYPE_CHECKING:
    from thvideo.synthesis.generate import Generator

Motion = Literal["relative", "absolute"]

ADAPTED = "adapted.npz"
#: Crops drawn at once unless the person says otherwise: two cores gain nothing from more.
BATCH_FRAMES = 8


@dataclass(frozen=True)
class Reenact:
    """Adapt the driver's motion to the source and synthesise one crop for each driver frame.

    Inputs: ``identity`` (embed), ``driver`` (track).

    Args:
        generator: Which generator draws the crops.
        motion: "relative" adds the driver's motion since its most neutral frame to the source;
            "absolute" takes over the driver's pose and expression as they are.
        pose: Strength of the head's motion, 1 is the driver's own.
        mouth: Strength of the mouth's motion.
        eyes: Strength of the eyelids' motion.
        brows: Strength of the brows' motion.
        gaze: Strength of the irises' motion.
    """

    name: ClassVar[str] = "reenact"
    version: ClassVar[int] = 2
    generator: GeneratorName = "warp"
    motion: Motion = "relative"
    pose: float = 1.0
    mouth: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    gaze: float = 1.0

    def skip_reason(self) -> str | None:
        """Reenact always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``adapted.npz`` and the crops in chunks ``crops-FIRST-END.mkv``."""
        from thvideo.landmarks.adapt import AdaptSettings, adapt
        from thvideo.landmarks.tracked import load_tracked
        from thvideo.synthesis.device import choose_device, cpu_threads
        from thvideo.synthesis.generate import WarpGenerator
        from thvideo.synthesis.identity import load_identity
        from thvideo.video.write import write_crop_chunk

        tracked = job.inputs["driver"].manifest.facts
        if tracked["kind"] == "picture":
            raise InputError(
                f"the driver {tracked['name']} is a still picture",
                hint="give --driver a video; still pictures are for --source",
            )
        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        driver = load_tracked(job.inputs["driver"].file("landmarks.npz")).points
        cuts = tracked["cuts"]
        device = choose_device(job.resources.device)
        with cpu_threads(job.resources.threads):
            # A warp draws only the first crop: the picture it returns into is that one's.
            generator = WarpGenerator(identity.crops[:1], identity.landmarks[:1], device)
            settings = AdaptSettings(
                self.motion, self.pose, self.mouth, self.eyes, self.brows, self.gaze
            )
            source = identity.landmarks[0].astype(np.float64)
            points = generator.settle(adapt(driver, source, settings, cuts=cuts), cuts)
            del driver
            with job.chunks.writing(ADAPTED) as temporary, temporary.open("wb") as file:
                np.savez(file, points=points)

            bounds = chunk_bounds(len(points), job.resources.chunk_frames)
            # The frames are in the name: an interrupted run may have used another chunk size.
            names = [f"crops-{start:06d}-{stop:06d}.mkv" for start, stop in bounds]
            for name, (start, stop) in zip(names, bounds, strict=True):
                if not job.chunks.is_done(name):
                    batches = _drawn(generator, points[start:stop], job.resources.batch_size)
                    with job.chunks.writing(name) as path:
                        write = partial(write_crop_chunk, path, n_frames=stop - start)
                        for done in fed(write, batches):
                            yield Progress(start + done, len(points))
                yield Progress(stop, len(points))
        job.facts.update(
            n_frames=len(points),
            chunks=[[name, *bound] for name, bound in zip(names, bounds, strict=True)],
            device=str(device),
        )


def _drawn(generator: "Generator", points: F64Array, batch_size: int) -> Iterator[U8Array]:
    """Draw landmarks ``[T, 70, 2]`` in batches that fit on the device."""
    from thvideo.synthesis.batching import in_batches

    batch_size = batch_size or BATCH_FRAMES
    for _, crops in in_batches(
        len(points), batch_size, lambda part: generator.generate(points[part])
    ):
        yield crops
