"""Decode a video: its exact times and cuts in one pass, and its frames in bounded batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import cast

import numpy as np

from thvideo.errors import InputError, StageError
from thvideo.shapes import I64Array, U8Array, frames_at_once
from thvideo.video.cuts import THUMBNAIL, CutFinder
from thvideo.video.decode import can_convert_gamut, frames_arguments, scan_arguments
from thvideo.video.ffmpeg import available, failure, meaningful_line, nameless_file, running
from thvideo.video.probe import VideoInfo
from thvideo.video.timing import FrameTimes
from thvideo.video.whole import check_whole

_PROGRESS_FRAMES = 50


@dataclass(frozen=True)
class ScanProgress:
    """Frames decoded so far, of the number the file declares (None if it declares none)."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Scan:
    """What one pass over a video found.

    Args:
        times: The exact time of every frame.
        cuts: The first frame of every shot but the first.
        n_errors: Errors the decoder reported and went on from.
        notices: What the person should know, in sentences.
    """

    times: FrameTimes
    cuts: tuple[int, ...]
    n_errors: int
    notices: tuple[str, ...]


def scan(path: Path, info: VideoInfo) -> Iterator[ScanProgress | Scan]:
    """Decode the video once; yield progress and, as the last item, the ``Scan``.

    Raises:
        InputError: No frame can be decoded, or the file ends before the time it declares.
    """
    total = round(info.duration_s * info.rate) or None
    finder = CutFinder()
    with nameless_file() as times_file:
        args = scan_arguments(path, info, THUMBNAIL, times_file.fileno())
        with running(args, reads=True, shares=times_file) as child:
            done = 0
            pipe = cast(RawIOBase, child.process.stdout)
            for batch in _batches(pipe, THUMBNAIL, _PROGRESS_FRAMES):
                for frame in batch:
                    finder.add(frame)
                done += len(batch)
                yield ScanProgress(done, total)
            child.process.wait()
            log = child.lines()
        times_file.seek(0)
        listed = times_file.read().decode()
    if done == 0:
        raise InputError(
            f"{path} holds no frame that can be decoded: {meaningful_line(log)}",
            hint="play it to see whether it is damaged, or convert it to mp4",
        )
    times, notices = parse_times(listed, info)
    if times.n_frames != done:
        raise StageError(f"{path}: {done} frames were decoded but {times.n_frames} times were read")
    n_errors = sum("[error]" in line or "[fatal]" in line for line in log)
    check_whole(path, info, times)
    if n_errors:
        notices.append(f"the decoder reported {n_errors} errors: {meaningful_line(log)}")
    if info.is_hdr and not can_convert_gamut(available("filters")):
        notices.append("this ffmpeg cannot tone-map HDR (no zscale); colours will look pale")
    yield Scan(times, finder.finish(), n_errors, tuple(notices))


def parse_times(listed: str, info: VideoInfo) -> tuple[FrameTimes, list[str]]:
    """Return the times in a framecrc listing of frames, and what had to be mended in them.

    Args:
        listed: Lines ``stream, dts, pts, duration, size, checksum`` in ``info.time_base``.
        info: The video's description; its rate is the last resort for the last duration.
    """
    rows = [line.split(",") for line in listed.splitlines() if line and not line.startswith("#")]
    raw = np.array([int(row[2]) for row in rows], np.int64)
    pts = increasing(raw)
    notices = []
    n_mended = int((np.diff(pts) != np.diff(raw)).sum())
    if n_mended:
        notices.append(f"{n_mended} frame times did not increase and were moved")
    last_duration = int(rows[-1][3])
    if last_duration < 1:
        rate = info.rate or 25
        declared = round(1 / (rate * info.time_base))
        last_duration = int(pts[-1] - pts[-2]) if len(pts) > 1 else max(1, declared)
    return FrameTimes(pts, info.time_base, last_duration), notices


def increasing(pts: I64Array) -> I64Array:
    """Return times ``[T]`` made strictly increasing, moving as few as possible.

    A time that does not increase moves to one tick after the one before it. Where the clock
    restarts (all later times are earlier), the rest follows on as a whole.
    """
    steps = np.diff(pts)
    if (steps > 0).all():
        return pts
    typical = int(np.median(steps[steps > 0])) if (steps > 0).any() else 1
    restarts = steps < -10 * typical
    whole = np.concatenate([pts[:1], pts[0] + np.cumsum(np.where(restarts, typical, steps))])
    order = np.arange(len(whole))
    return np.asarray(np.maximum.accumulate(whole - order) + order, np.int64)


def read_frames(
    path: Path,
    info: VideoInfo,
    *,
    height_width: tuple[int, int] | None = None,
    start: int = 0,
    stop: int | None = None,
    batch: int = 32,
) -> Iterator[U8Array]:
    """Yield frames as batches ``[B, H, W, 3]``: upright, square pixels, full-range RGB.

    Frames come in the order of their times and are counted as ``scan`` counts them. Frames
    before ``start`` are decoded and dropped, so that the count is exact in every container.

    Args:
        path: The video.
        info: What ``probe`` says of it.
        height_width: The frames' size; None for ``info.size``.
        start: First frame wanted.
        stop: The frame after the last one wanted; None for the end.
        batch: Frames in one batch at most, fewer of large ones; only the last batch is smaller.

    Raises:
        InputError: ffmpeg fails before the first frame.
        StageError: ffmpeg fails later, or fewer than ``stop - start`` frames came.
    """
    if stop is not None and stop <= start:
        return
    size = height_width or info.size
    batch = frames_at_once(size, batch)
    args = frames_arguments(path, info, size, start, stop, available("filters"))
    n_frames = 0
    with running(args, reads=True) as child:
        for frames in _batches(cast(RawIOBase, child.process.stdout), size, batch):
            n_frames += len(frames)
            yield frames
        if child.process.wait() != 0 and n_frames == 0:
            raise InputError(str(failure(f"cannot decode {path}", child.lines())))
        child.finish(f"decoding {path} failed after frame {start + n_frames}")
    if stop is not None and n_frames != stop - start:
        raise StageError(f"{path} has {start + n_frames} frames, {stop} were wanted")


def _batches(pipe: RawIOBase, size: tuple[int, int], batch: int) -> Iterator[U8Array]:
    """Yield arrays ``[B, H, W, 3]`` filled straight from the pipe."""
    frame_bytes = size[0] * size[1] * 3
    while True:
        frames = np.empty((batch, *size, 3), np.uint8)
        filled = _fill(pipe, frames.reshape(-1).data)
        if filled == frames.nbytes:
            yield frames
            continue
        if filled % frame_bytes:
            raise StageError(f"the decoder stopped inside a frame ({filled % frame_bytes} bytes)")
        if filled:
            yield frames[: filled // frame_bytes]
        return


def _fill(pipe: RawIOBase, target: memoryview) -> int:
    """Read until the target is full or the pipe ends; return the number of bytes read."""
    filled = 0
    while filled < len(target):
        count = pipe.readinto(target[filled:])
        if not count:
            break
        filled += count
    return filled
