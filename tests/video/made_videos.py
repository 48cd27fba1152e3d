"""Videos made on the spot, each with a property a person's file may have."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np

from thvideo.video.encode import EncodeSettings
from thvideo.video.ffmpeg import ffmpeg_path
from thvideo.video.timing import FrameTimes
from thvideo.video.write import encode_chunk, join


def ffmpeg(*args: object) -> None:
    """Run ffmpeg as a person would, to make what a test needs."""
    command = [str(ffmpeg_path()), "-v", "error", "-nostdin", "-y", *map(str, args)]
    subprocess.run(command, check=True)


def described(path: Path) -> str:
    """Return what ffmpeg prints of a file."""
    command = [str(ffmpeg_path()), "-hide_banner", "-nostdin", "-i", f"file:{path}"]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


def opus_error_s(container: str) -> float:
    """Return how early Opus is heard: ffmpeg 5 counts its priming twice where it writes it."""
    said = subprocess.run([str(ffmpeg_path()), "-version"], capture_output=True, check=True).stdout
    is_matroska = container in ("mkv", "webm")
    return 0.0071 if is_matroska and said.startswith(b"ffmpeg version 5.") else 0.0


def pattern(n_frames: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Return frames ``[T, H, W, 3]`` whose left half tells their number and right half moves."""
    frames = np.zeros((n_frames, *size, 3), np.uint8)
    half = size[1] // 2
    for index in range(n_frames):
        # Two digits to base 14, far enough apart to survive any encoder.
        frames[index, : size[0] // 2, :half] = 16 + 16 * (index % 14)
        frames[index, size[0] // 2 :, :half] = 16 + 16 * (index // 14 % 14)
        frames[index, :, half + index % half :] = (200, 80, 40)
    return frames


def numbers(frames: np.ndarray) -> list[int]:
    """Return the numbers that ``pattern`` wrote into frames ``[T, H, W, 3]``."""
    height, width = frames.shape[1:3]
    upper = frames[:, 4 : height // 2 - 4, 4 : width // 2 - 4, 1].mean((1, 2))
    lower = frames[:, height // 2 + 4 : -4, 4 : width // 2 - 4, 1].mean((1, 2))
    low, high = np.rint((upper - 16) / 16), np.rint((lower - 16) / 16)
    return [int(value) for value in low + 14 * high]


def write_video(
    folder: Path,
    times: FrameTimes,
    container: str = "mp4",
    chunk_frames: int = 20,
    sound: object = None,
    size: tuple[int, int] = (48, 64),
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write ``pattern`` at these times through ``encode_chunk`` and ``join``."""
    settings = EncodeSettings(container=container, preset="ultrafast")
    frames = pattern(times.n_frames, size)
    chunks = []
    for start in range(0, times.n_frames, chunk_frames):
        stop = min(start + chunk_frames, times.n_frames)
        chunk = folder / f"chunk-{start:06d}.{container}"
        encode_chunk(chunk, iter([frames[start:stop]]), times, start, stop, settings)
        chunks.append(chunk)
    out = folder / f"out.{container}"
    join(chunks, out, times, settings, sound, metadata or {})
    return out


def uneven(n_frames: int, time_base: Fraction, seed: int = 0) -> FrameTimes:
    """Return variable frame times: bursts of single ticks, pauses of seconds, a late start."""
    rng = np.random.default_rng(seed)
    ticks_per_s = float(1 / time_base)
    steps = rng.choice([1 / ticks_per_s, 0.01, 0.04, 1 / 30, 0.5, 2.1], n_frames)
    steps = np.maximum(1, np.rint(steps * ticks_per_s)).astype(np.int64)
    return FrameTimes(np.cumsum(steps), time_base, int(steps[0]) + 3)


def children() -> list[str]:
    """Return the numbers of this process's children, save the one Python keeps for workers."""
    listed = Path("/proc/self/task").glob("*/children")
    pids = [pid for path in listed for pid in path.read_text().split()]
    return [pid for pid in pids if b"resource_tracker" not in _command(pid)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
