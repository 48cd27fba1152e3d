"""Reenact: move the source crop as the driver moves."""

from collections import abc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from thvideo.errors import InputError
from thvideo.models.precision import Precision
from thvideo.shapes import F64Array, I64Array, U8Array
from thvideo.stages.base import GeneratorName, Job, Progress, StageEvent, loading
from thvideo.stages.handover import Handover
from thvideo.stages.streaming import chunk_bounds, fed, read_chunk

if TYPE_CHECKING:
    import torch

    from thvideo.synthesis.batching import BatchSize
    from thvideo.synthesis.generator import Generator
    from thvideo.synthesis.identity import Identity

Motion = Literal["relative", "absolute"]

ADAPTED = "adapted.npz"
#: Threads that draw, at most, by the kind of device: each holds a batch of frames in memory. A
#: GPU's wait for the processor: its pixels take ten times as long as the device's networks. MPS
#: takes no calls from several threads.
_MOST_THREADS = {"cpu": 4, "cuda": 8, "mps": 1}


@dataclass(frozen=True)
class Reenact:
    """Adapt the driver's motion to the source and synthesise one crop for each driver frame.

    Inputs: ``identity`` (embed), ``driver`` (track), ``personal`` (finetune, if it ran). Files:
    ``weights`` where the generator is learned.

    Args:
        generator: Which generator draws the crops.
        motion: "relative" adds the driver's motion since the most neutral frame of each shot;
            "absolute" takes over the driver's pose and expression as they are.
        pose: Strength of the head's motion, 1 is the driver's own.
        mouth: Strength of the mouth's motion.
        eyes: Strength of the eyelids' motion.
        brows: Strength of the brows' motion.
        gaze: Strength of the irises' motion.
        precision: Arithmetic of the networks; the warp has none, "fp32" here.
    """

    name: ClassVar[str] = "reenact"
    version: ClassVar[int] = 13
    generator: GeneratorName = "swift"
    motion: Motion = "relative"
    pose: float = 1.0
    mouth: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    gaze: float = 1.0
    precision: Precision = "fp32"

    def skip_reason(self) -> str | None:
        """Reenact always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``adapted.npz`` and the crops in chunks ``crops-FIRST-END.mkv``, and give them."""
        with loading():
            from thvideo.landmarks.adapt import AdaptSettings, adapt
            from thvideo.landmarks.tracked import load_tracked
            from thvideo.synthesis.batching import frames_at_once
            from thvideo.synthesis.device import choose_devices, cpu_threads
            from thvideo.synthesis.identity import load_identity
            from thvideo.video.write import write_crop_chunk

        tracked = job.inputs["driver"]
        if tracked.fact("kind", str) == "picture":
            raise InputError(
                f"the driver {tracked.fact('name', str)} is a still picture",
                hint="give --driver a video; still pictures are for --source",
            )
        if job.gives is not None:
            # Whoever takes the frames has something to prepare too.
            job.gives.begin()
        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        driver = load_tracked(tracked.file("landmarks.npz"))
        cuts = tracked.fact("cuts", list[int])
        devices = choose_devices(job.resources.device)
        with cpu_threads(job.resources.threads):
            generators = [self._generator(job, identity, device) for device in devices]
            settings = AdaptSettings(
                self.motion, self.pose, self.mouth, self.eyes, self.brows, self.gaze
            )
            source = identity.landmarks[0].astype(np.float64)
            adapted = adapt(driver.points, source, settings, cuts=cuts, seen=driver.sure)
            points = generators[0].settle(adapted, cuts)
            sources = generators[0].choose(points, cuts)
            del driver, adapted
            with job.chunks.writing(ADAPTED) as temporary, temporary.open("wb") as file:
                np.savez(file, points=points, sources=sources)
            wanted = Wanted(points, sources)
            n_threads = drawing_threads(devices[0].type, len(devices))
            at_once = frames_at_once(devices[0].type, n_threads, job.resources.batch_size)

            bounds = chunk_bounds(len(points), job.resources.chunk_frames)
            # The frames are in the name: an interrupted run may have used another chunk size.
            names = [f"crops-{start:06d}-{stop:06d}.mkv" for start, stop in bounds]
            for name, (start, stop) in zip(names, bounds, strict=True):
                if job.chunks.is_done(name):
                    if job.gives is not None:
                        job.gives.give(start, stop, read_chunk(job.chunks.path(name)))
                else:
                    part = wanted.part(slice(start, stop))
                    batches = _drawn(generators, part, at_once, n_threads)
                    with closing(batches), job.chunks.writing(name) as path:
                        write = partial(write_crop_chunk, path, n_frames=stop - start)
                        for done in fed(write, _given(batches, start, job.gives)):
                            yield Progress(start + done, len(points))
                yield Progress(stop, len(points))
        job.facts.update(
            n_frames=len(points),
            chunks=[[name, *bound] for name, bound in zip(names, bounds, strict=True)],
            device=",".join(map(str, devices)),
            source_frames=np.bincount(sources).tolist(),
        )

    def _generator(self, job: Job, identity: "Identity", device: "torch.device") -> "Generator":
        if self.generator == "warp":
            from thvideo.draft.warp_generator import WarpGenerator

            # A warp draws only the first crop: the picture it returns into is that one's.
            return WarpGenerator(identity.crops[:1], identity.landmarks[:1], device)
        from thvideo.synthesis.networks import become_personal, load_networks
        from thvideo.synthesis.neural import NeuralGenerator, SourceCrops, feed_forward
        from thvideo.weights.personal import PERSONAL

        networks = load_networks(job.files["weights"], self.generator, device)
        if "personal" in job.inputs:
            adain = become_personal(networks, job.inputs["personal"].file(PERSONAL))
        else:
            adain = feed_forward(networks, identity.embedding)
        source = SourceCrops(identity.crops, identity.landmarks)
        return NeuralGenerator(networks, source, adain, self.precision)


def _given(batches: Iterable[U8Array], start: int, gives: Handover | None) -> Iterator[U8Array]:
    """Pass batches on as they are, and hand each over if somebody takes them."""
    for batch in batches:
        if gives is not None:
            gives.give(start, start + len(batch), [batch])
        start += len(batch)
        yield batch


class Wanted(NamedTuple):
    """What is to be drawn: landmarks ``[T, 70, 2]`` and the source crop of each frame ``[T]``."""

    points: F64Array
    sources: I64Array

    def part(self, frames: slice) -> "Wanted":
        """Return some of the frames."""
        return Wanted(self.points[frames], self.sources[frames])

    def split(self, n_parts: int) -> list["Wanted"]:
        """Return at most ``n_parts`` parts of about the same size, in order."""
        n_parts = min(n_parts, len(self.points))
        parts = np.array_split(np.arange(len(self.points)), n_parts)
        return [self.part(slice(part[0], part[-1] + 1)) for part in parts]


def drawing_threads(device: str, n_devices: int = 1) -> int:
    """Return how many threads draw a batch each on devices of a kind, such as "cpu".

    Frames side by side use every core; the steps of one frame, split, would wait often.
    """
    from thvideo.synthesis.device import cpu_thread_count

    return max(n_devices, min(cpu_thread_count(), _MOST_THREADS[device]))


def _drawn(
    generators: "list[Generator]", wanted: Wanted, at_once: "BatchSize", n_threads: int
) -> abc.Generator[U8Array, None, None]:
    """Draw frames in batches that fit, parts of a batch side by side and on each device in turn."""
    from thvideo.synthesis.batching import in_batches
    from thvideo.synthesis.device import cpu_thread_count, cpu_threads

    def draw(frames: slice) -> U8Array:
        if n_threads == 1:
            return generators[0].generate(*wanted.part(frames))
        parts = wanted.part(frames).split(n_threads)
        drawing = [
            pool.submit(generator.generate, *part)
            for generator, part in zip(cycle(generators), parts, strict=False)
        ]
        # Where one runs out of memory the others still hold theirs until they are done.
        wait(drawing)
        return np.concatenate([crops.result() for crops in drawing])

    share = max(1, cpu_thread_count() // n_threads)
    with ThreadPoolExecutor(n_threads) as pool, cpu_threads(share):
        # A frame a thread at first: whoever waits for the video sees it begin.
        for _, crops in in_batches(len(wanted.points), at_once, draw, n_threads):
            yield crops
