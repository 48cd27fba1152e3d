"""The argument lists that ffmpeg gets."""

from fractions import Fraction
from pathlib import Path

import pytest

from thvideo.errors import StageError, WorkspaceError
from thvideo.video.audio import Sound
from thvideo.video.encode import (
    EncodeSettings,
    chunk_arguments,
    chunk_list,
    join_arguments,
    timescale,
)
from thvideo.video.ffmpeg import failure
from thvideo.video.streams import AudioStream
from thvideo.video.timing import FrameTimes

AAC = AudioStream(0, "aac", 44_100, "mono", "fltp")
TIMES = FrameTimes.constant(Fraction(24000, 1001), 48)


def value(args: list[str], option: str) -> str:
    return args[args.index(option) + 1]


def test_every_input_may_open_files_and_pipes_only() -> None:
    sound = Sound(Path("a.m4a"), AAC, Fraction(0), Fraction(0), Fraction(2), Fraction(0))
    args = join_arguments(Path("o.mp4"), TIMES, EncodeSettings(), sound, {})
    lists = [args[i + 1] for i, arg in enumerate(args) if arg == "-protocol_whitelist"]
    assert lists == ["file,pipe"] * args.count("-i")
    assert "-nostdin" in args


def test_names_are_urls_that_no_option_can_hide_in() -> None:
    args = chunk_arguments(Path("-rf %d:x.mp4"), (64, 64), 24000, EncodeSettings())
    assert args[-2].startswith("file:/")
    assert args[-2].endswith("/-rf %d:x.mp4")


def test_the_picture_is_h264_crf_16_yuv420p_bt709_without_b_frames() -> None:
    args = chunk_arguments(Path("c.mp4"), (64, 64), 24000, EncodeSettings())
    assert (value(args, "-c:v"), value(args, "-crf"), value(args, "-bf")) == ("libx264", "16", "0")
    for option in ("-colorspace", "-color_primaries", "-color_trc"):
        assert value(args, option) == "bt709"
    graph = value(args, "-filter_complex")
    assert "out_color_matrix=bt709" in graph
    assert "yuv420p" in graph
    assert value(args, "-enc_time_base") == "1/24000"


def test_joining_copies_the_picture_and_what_sound_it_can() -> None:
    sound = Sound(Path("a.m4a"), AAC, Fraction(1), Fraction(0), Fraction(2), Fraction(0))
    copied = join_arguments(Path("o.mp4"), TIMES, EncodeSettings("mp4"), sound, {"title": "a=b"})
    assert (value(copied, "-c:v"), value(copied, "-c:a")) == ("copy", "copy")
    assert value(copied, "-itsoffset") == "-1000000us"
    assert value(copied, "-metadata:g:0") == "title=a=b"
    assert "+faststart" in copied
    encoded = join_arguments(Path("o.webm"), TIMES, EncodeSettings("webm"), sound, {})
    assert (value(encoded, "-c:v"), value(encoded, "-c:a")) == ("copy", "libopus")
    assert "atrim" in value(encoded, "-filter_complex")


@pytest.mark.parametrize(
    ("base", "scale"),
    [((1001, 24000), 24000), ((1, 15), 15360), ((1, 90000), 90000), ((1, 10**9), 10**6)],
)
def test_the_timescale_holds_every_tick(base: tuple[int, int], scale: int) -> None:
    times = FrameTimes(TIMES.pts, Fraction(*base), 1001)
    assert timescale(times) == scale


def test_rounding_of_chunk_durations_does_not_add_up() -> None:
    starts = [Fraction(k, 3) for k in range(301)]
    lines = chunk_list(["it's.mp4"] * 300, starts).decode().splitlines()
    assert lines[1] == "file 'file:it'\\''s.mp4'"
    total = sum(int(line.split()[1].removesuffix("us")) for line in lines[2::2])
    assert total == 100_000_000


def test_the_last_line_that_says_something_is_the_reason() -> None:
    log = [
        "[x @ 0x5] [error] Unknown pixel format",
        "[out#0 @ 0x1] [error] Error opening output files: Invalid argument",
        "Conversion failed!",
    ]
    error = failure("cannot write a.mp4", log)
    assert isinstance(error, StageError)
    assert error.fact == "cannot write a.mp4: Unknown pixel format"
    assert isinstance(failure("x", ["[error] No space left on device"]), WorkspaceError)
