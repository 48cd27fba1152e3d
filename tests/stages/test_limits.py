"""Large inputs are reduced, read a few at a time, or refused: memory has one limit."""

import subprocess
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thvideo.errors import InputError
from thvideo.imaging.picture import load_picture
from thvideo.landmarks.windows import WINDOW_FRAMES, cut_windows
from thvideo.shapes import BATCH_BYTES, MAX_SIDE_PX, frames_at_once, reduced
from thvideo.stages.composite import Composite
from thvideo.video.ffmpeg import ffmpeg_path
from thvideo.video.probe import probe
from thvideo.video.read import read_frames


def video(path: Path, size: str, aspect: str, n_frames: int = 1) -> Path:
    """A video whose stored pixels are so many times as wide as high."""
    width, height = map(int, size.split("x"))
    shown = Fraction(width, height) * Fraction(aspect)
    made = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-frames:v", str(n_frames)]
    told = ["-c:v", "mjpeg", "-aspect", f"{shown.numerator}:{shown.denominator}"]
    command = [ffmpeg_path(), "-v", "error", "-y", *made, *told, path]
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.mark.parametrize("aspect", ["60/1", "1/60"])
def test_frames_beyond_the_limit_after_their_aspect_are_refused(
    aspect: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="100 megapixels") as error:
        probe(video(tmp_path / "wide.mkv", "2000x1500", aspect))
    assert "setsar=1" in error.value.hint


@pytest.mark.parametrize(
    ("size", "aspect", "delivered"),
    [
        ("320x64", "20/1", (41, 4096)),
        ("64x320", "1/20", (4096, 41)),
        ("5000x100", "1/1", (82, 4096)),
        ("320x64", "2/1", (64, 640)),
    ],
)
def test_long_frames_are_reduced_to_the_same_side_as_pictures(
    size: str, aspect: str, delivered: tuple[int, int], tmp_path: Path
) -> None:
    path = video(tmp_path / "long.mkv", size, aspect)
    info = probe(path)
    assert info.size == delivered and max(delivered) <= MAX_SIDE_PX
    assert next(read_frames(path, info)).shape == (1, *delivered, 3)


def test_batches_are_as_large_as_memory_allows(tmp_path: Path) -> None:
    path = video(tmp_path / "short.mkv", "64x64", "1/1", n_frames=3)
    sizes = [len(batch) for batch in read_frames(path, probe(path), height_width=(2304, 4096))]
    assert sizes == [1, 1, 1]
    assert [len(batch) for batch in read_frames(path, probe(path))] == [3]
    assert frames_at_once((1080, 1920), 16) * 1080 * 1920 * 3 <= BATCH_BYTES
    assert (frames_at_once((64, 64), 16), frames_at_once((9000, 9000), 16)) == (16, 1)
    assert reduced((9000, 3000)) == (MAX_SIDE_PX, 1365) and reduced((3, 2)) == (3, 2)


def test_large_frames_of_the_output_are_made_one_by_one() -> None:
    large = np.broadcast_to(np.uint8(0), (4096, 4096, 3))
    identity: Any = SimpleNamespace(picture=large, crops=np.zeros((1, 64, 64, 3), np.uint8))
    assert Composite(max_side=8192)._n_at_once(identity) == 1
    assert Composite(max_side=512)._n_at_once(identity) == 8
    assert Composite(max_side=8192, framing="crop")._n_at_once(identity) == 8


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_a_picture_of_16_bits_takes_a_few_bytes_a_pixel(mode: str, tmp_path: Path) -> None:
    side = 1500
    values = np.arange(side * side, dtype=np.uint32).reshape(side, side) % 65536
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep.png")
    if mode == "I":
        Image.fromarray(values.astype(np.int32)).save(tmp_path / "deep.tif")
    path = tmp_path / ("deep.tif" if mode == "I" else "deep.png")
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    picture = load_picture(path, side)
    used = tracemalloc.get_traced_memory()[1] - before
    assert used < 12 * side * side
    assert np.array_equal(picture[..., 0], np.rint(values / 257).astype(np.uint8))


@pytest.mark.usefixtures("traced")
def test_windows_of_large_frames_are_there_once() -> None:
    frame_bytes = 400 * 400 * 3

    def arriving() -> Iterator[np.ndarray]:
        for _ in range(4 * WINDOW_FRAMES):
            yield np.ones((1, 400, 400, 3), np.uint8)

    before = tracemalloc.get_traced_memory()[0]
    for _ in cut_windows(arriving(), ()):
        del _
    used = tracemalloc.get_traced_memory()[1] - before
    # The window, the frame that came last and the one that is made.
    assert used < (WINDOW_FRAMES + 4) * frame_bytes
