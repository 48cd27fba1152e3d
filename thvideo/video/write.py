"""Encode a video chunk by chunk at exact times, and join the chunks without encoding again."""

import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from thvideo.errors import StageError
from thvideo.shapes import U8Array, check_shape
from thvideo.video.audio import Sound
from thvideo.video.encode import (
    EncodeSettings,
    chunk_arguments,
    chunk_list,
    clip_arguments,
    crop_arguments,
    gif_arguments,
    join_arguments,
    palette_arguments,
    timescale,
)
from thvideo.video.ffmpeg import Child, failure, run_ffmpeg, running
from thvideo.video.rawstream import frame_span, stream_frame, stream_head
from thvideo.video.timing import FrameTimes

_GIF_COMMENT = b"\x21\xfe"


def encode_chunk(
    path: Path,
    frames: Iterable[U8Array],
    times: FrameTimes,
    start: int,
    stop: int,
    settings: EncodeSettings,
) -> None:
    """Encode frames ``start .. stop - 1`` as one chunk that ``join`` takes.

    Args:
        path: The chunk to write; it is an mp4 whatever its suffix.
        frames: Batches ``[B, H, W, 3]`` of exactly these frames, all of one size.
        times: The times of the whole video.
        start: The chunk's first frame.
        stop: The frame after its last.
        settings: The same for all chunks of a video.

    Raises:
        StageError: The number of frames is not ``stop - start``, or ffmpeg fails.
        WorkspaceError: The disk is full or the place cannot be written.
    """
    _encode(
        frames,
        times.part(start, stop),
        lambda size: chunk_arguments(path, size, timescale(times), settings),
        path,
        times.rate,
    )


def write_crop_chunk(path: Path, frames: Iterable[U8Array], n_frames: int) -> None:
    """Keep ``n_frames`` crops in a lossless RGB mkv that ``read_frames`` reads.

    Args:
        path: The mkv to write.
        frames: Batches ``[B, H, W, 3]``.
        n_frames: How many frames there are in all the batches.

    Raises:
        StageError: The number of frames is not ``n_frames``, or ffmpeg fails.
        WorkspaceError: The disk is full or the place cannot be written.
    """
    # Only the order of crops means anything; 25 a second keeps their times apart.
    rate = Fraction(25)
    times = FrameTimes.constant(rate, n_frames)
    _encode(frames, times, lambda _: crop_arguments(path), path, rate)


def write_clip(path: Path, frames: Iterable[U8Array], n_frames: int, rate: Fraction) -> None:
    """Write a training clip: an mp4 at a constant rate, its colours as OpenCV reads them.

    Args:
        path: The mp4 to write.
        frames: Batches ``[B, S, S, 3]``, S even.
        n_frames: How many frames there are in all the batches.
        rate: Frames per second.

    Raises:
        StageError: The number of frames is not ``n_frames``, or ffmpeg fails.
        WorkspaceError: The disk is full or the place cannot be written.
    """
    times = FrameTimes.constant(rate, n_frames)
    _encode(frames, times, lambda size: clip_arguments(path, size), path, rate)


def _encode(
    frames: Iterable[U8Array],
    times: FrameTimes,
    arguments_of_size: Callable[[tuple[int, int]], list[str]],
    path: Path,
    rate: Fraction,
) -> None:
    batches = iter(frames)
    first = next(batches, None)
    if first is None:
        raise StageError(f"no frame came for {path.name}")
    bound = check_shape(first, "B H W 3")
    size = (bound["H"], bound["W"])
    what = f"cannot write {path.name}"
    with running(arguments_of_size(size), feeds=True) as child:
        try:
            _send(child, stream_head(size, rate))
            n_sent = 0
            for batch in _chain(first, batches):
                check_shape(batch, "_ H W 3", H=size[0], W=size[1])
                for frame in batch:
                    if n_sent < times.n_frames:
                        for part in stream_frame(frame, *frame_span(times, n_sent, 0)):
                            _send(child, part)
                    n_sent += 1
            assert child.process.stdin is not None  # feeds=True makes the pipe
            child.process.stdin.close()
        except BrokenPipeError:
            child.process.wait()
            raise failure(what, child.lines()) from None
        child.finish(what)
    if n_sent != times.n_frames:
        raise StageError(f"{n_sent} frames came for {path.name}, {times.n_frames} were expected")


def _chain(first: U8Array, rest: Iterator[U8Array]) -> Iterator[U8Array]:
    yield first
    yield from rest


def _send(child: Child, data: bytes | memoryview) -> None:
    pipe = child.process.stdin
    assert pipe is not None  # the caller runs ffmpeg with feeds=True
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def join(
    chunks: Sequence[Path],
    out: Path,
    times: FrameTimes,
    settings: EncodeSettings,
    sound: Sound | None,
    metadata: Mapping[str, str],
) -> None:
    """Join chunks to the finished video; the picture is not encoded again (a GIF's is).

    Frames keep their times to the tick in mp4 and mov; mkv and webm round them to 1 ms, a GIF to
    10 ms. ``encode.join_arguments`` tells how the sound is cut.

    Args:
        chunks: What ``encode_chunk`` wrote, in order, together all frames.
        out: The file to write; ``settings.container`` decides its kind, not its suffix.
        times: The times of all frames.
        settings: What the chunks were encoded with.
        sound: The sound to add; a GIF has none.
        metadata: ``title``, ``comment`` and ``description``, kept in all containers.

    Raises:
        StageError: The chunks do not hold ``times.n_frames`` frames, or ffmpeg fails.
        WorkspaceError: The disk is full or the place cannot be written.
    """
    what = f"cannot write {out.name}"
    folder = chunks[0].parent
    firsts = [0]
    for chunk in chunks:
        firsts.append(firsts[-1] + count_frames(chunk))
    if firsts[-1] != times.n_frames:
        raise StageError(f"{what}: the chunks hold {firsts[-1]} of {times.n_frames} frames")
    names = [os.path.relpath(chunk, folder) for chunk in chunks]
    listed = chunk_list(names, [times.at(first) for first in firsts])
    if settings.container != "gif":
        args = join_arguments(out, times, settings, sound, metadata)
        run_ffmpeg(args, what=what, cwd=folder, feed=listed)
        return
    # Beside the output: a long GIF may not fit where temporary files usually go.
    with _scratch_file(out.parent) as palette, _scratch_file(out.parent) as bare:
        # Two passes: in one, ffmpeg would hold every frame until the palette is known.
        run_ffmpeg(palette_arguments(palette), what=what, cwd=folder, feed=listed)
        run_ffmpeg(gif_arguments(bare, palette, times), what=what, cwd=folder, feed=listed)
        copy_gif_with_comment(bare, out, "; ".join(metadata.values()))


def count_frames(chunk: Path) -> int:
    """Return how many frames an mp4 chunk holds, from its index (ISO/IEC 14496-12, 8.7.3).

    Raises:
        StageError: The file is no finished chunk.
    """
    with chunk.open("rb") as file:
        end = chunk.stat().st_size
        for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"):
            inside = _find_box(file, name, end)
            if inside is None:
                raise StageError(f"{chunk.name} is not a finished chunk of video")
            end = inside
        # Version and flags, the common size, then the number of samples.
        return int(struct.unpack(">8xI", file.read(12))[0])


def _find_box(file: BinaryIO, name: bytes, end: int) -> int | None:
    """Move to the first content byte of a box before ``end`` and return the box's end."""
    while (begin := file.tell()) + 8 <= end:
        size, found = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8))[0]
        elif size == 0:
            size = end - begin
        if found == name:
            return begin + int(size)
        if size < 8:
            return None
        file.seek(begin + int(size))
    return None


def copy_gif_with_comment(bare: Path, out: Path, text: str) -> None:
    """Copy a GIF and put a comment before its first frame (GIF89a, section 24).

    ffmpeg writes none; at the end, readers would take it for a frame.
    """
    data = text.encode("ascii", "replace")
    blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
    comment = b"".join(bytes([len(block)]) + block for block in blocks)
    with bare.open("rb") as source, out.open("wb") as target:
        head = source.read(13)
        # Bit 7 of the flags: a table of 2 ** (low three bits + 1) colours follows.
        table = 3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0
        target.write(head + source.read(table))
        # Readers stumble over an empty comment.
        if blocks:
            target.write(_GIF_COMMENT + comment + b"\x00")
        shutil.copyfileobj(source, target, 1 << 20)


@contextmanager
def _scratch_file(folder: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink()
