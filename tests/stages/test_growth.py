"""A driver ten times as long is ten times the work and no more memory: counted, not timed."""

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.stages.conftest import EXAMPLES, ffmpeg
from thvideo.draft.warp_generator import WarpGenerator
from thvideo.imaging import blend
from thvideo.landmarks.bundled import BundledTracker
from thvideo.pipeline.graph import reenact_graph, stage_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.shapes import U8Array
from thvideo.stages.base import Resources
from thvideo.video import read, write
from thvideo.workspace.store import Workspace

N_FRAMES, N_TIMES = 24, 10
#: Several chunks even of the short driver, so that what is held from chunk to chunk counts too.
RESOURCES = Resources(chunk_frames=12, batch_size=4)
SIZE = (224, 192)


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A short driver, and the same one ten times over."""
    folder = tmp_path_factory.mktemp("drivers")
    short, long = folder / "short.mp4", folder / "long.mp4"
    small = f"scale={SIZE[1]}:{SIZE[0]}"
    encoded = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-an")
    frames = ("-frames:v", str(N_FRAMES), "-vf", small)
    ffmpeg("-i", EXAMPLES / "driver.mp4", *frames, *encoded, short)
    ffmpeg("-stream_loop", str(N_TIMES - 1), "-i", short, "-c", "copy", long)
    return short, long


class Measured(NamedTuple):
    """Frames that go through each pass, by the pass, and the peak of traced memory in bytes."""

    counts: Counter[str]
    peak: int


@pytest.fixture(scope="module")
def measured(
    painting: Path, drivers: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Measured, Measured]:
    """Reenact with the short driver and with the long one, all anew."""
    short, long = drivers

    def measure(driver: Path) -> Measured:
        folder = tmp_path_factory.mktemp("work")
        given = {"sources": (painting,), "driver": driver, "output": folder / "out.mp4"}
        recipe = make_recipe({**given, "generator": "warp", "size": 128, "max_side": 160})
        workspace = Workspace(folder / "ws")
        # The source's own work, done before, is not what grows.
        for _ in run(stage_graph("embed", recipe), workspace, RESOURCES):
            pass
        with pytest.MonkeyPatch.context() as patch:
            counts = counted(patch)
            tracemalloc.start()
            try:
                for _ in run(reenact_graph(recipe), workspace, RESOURCES):
                    pass
                return Measured(counts, tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()

    measure(short)  # loads what is loaded once
    once, first, second = measure(short), measure(long), measure(long)
    assert first.counts == second.counts
    # Threads that meet at another moment hold a few frames more: what grows does so each time.
    return once, min(first, second, key=lambda each: each.peak)


def counted(patch: pytest.MonkeyPatch) -> Counter[str]:
    """Count frames from now on."""
    counts: Counter[str] = Counter()

    def count(place: Any, name: str, n_frames: Callable[..., int]) -> None:
        real = getattr(place, name)

        def counting(*args: Any, **options: Any) -> Any:
            counts[name] += n_frames(*args, **options)
            return real(*args, **options)

        patch.setattr(place, name, counting)

    real_read = read.read_frames

    def counting_read(*args: Any, start: int = 0, **options: Any) -> Iterator[U8Array]:
        # Frames before the first one that is wanted are decoded too.
        counts["read_frames"] += start
        for batch in real_read(*args, start=start, **options):
            counts["read_frames"] += len(batch)
            yield batch

    patch.setattr(read, "read_frames", counting_read)
    count(read.CutFinder, "add", lambda self, frame: 1)
    count(BundledTracker, "_look", lambda self, frames, *more: len(frames))
    count(BundledTracker, "_place", lambda self, crops: len(crops))
    count(WarpGenerator, "fold_shares", lambda self, points: len(points))
    count(WarpGenerator, "draw", lambda self, points: len(points))
    count(blend, "paste", lambda plan, crops: len(crops))
    count(write, "encode_chunk", lambda path, frames, times, start, stop, settings: stop - start)
    count(write, "write_crop_chunk", lambda path, frames, n_frames: n_frames)
    return counts


def test_every_pass_over_the_frames_is_linear(measured: tuple[Measured, Measured]) -> None:
    short, long = (each.counts for each in measured)
    assert len(short) == len(long) == 9
    for name in short:
        assert long[name] <= N_TIMES * short[name], name
    for name in ("add", "draw", "paste", "encode_chunk", "write_crop_chunk"):
        assert long[name] == N_TIMES * N_FRAMES, name
    # Once to be tracked; the first pass, which finds cuts and times, yields thumbnails.
    assert long["read_frames"] == N_TIMES * N_FRAMES
    assert long["_look"] <= N_TIMES * N_FRAMES / 4
    assert long["_place"] <= 4 * N_TIMES * N_FRAMES


def test_memory_does_not_grow_with_the_driver(measured: tuple[Measured, Measured]) -> None:
    short, long = measured
    n_more = (N_TIMES - 1) * N_FRAMES
    frame = int(np.prod(SIZE)) * 3
    grown = (long.peak - short.peak) / n_more
    # Landmarks of all frames are held, in a few copies, but not one frame in ten.
    assert grown < frame / 10, f"{grown:.0f} bytes a frame"
