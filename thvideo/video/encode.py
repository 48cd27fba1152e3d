"""ffmpeg graphs that encode chunks and join them, as pure argument lists."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from thvideo.video.audio import Sound, sound_output
from thvideo.video.ffmpeg import arguments, file_url, media_input, pipe_input, seconds_text
from thvideo.video.formats import Container
from thvideo.video.timing import FrameTimes

_FORMATS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "gif": "gif"}
# Ticks finer than a microsecond are rounded to one: the list that joins chunks counts in those.
_FINEST_SCALE = 1_000_000
# ffmpeg's own lower limit: players round what they compute in a chunk's ticks.
_COARSEST_SCALE = 10_000
# Edit lists (the sound's offset) are written in ticks of the movie, by default of 1 ms.
_MOVIE_SCALE = 90_000
_TAGS = {
    "color_range": "tv",
    "colorspace": "bt709",
    "color_primaries": "bt709",
    "color_trc": "bt709",
}
_EXACT = "bicubic+accurate_rnd+full_chroma_inp"
# What "superfast" leaves out and "veryfast" has: without it files are twice as large.
_LOOKS_AHEAD = {"mbtree": 1, "rc-lookahead": 10}
# Measured at 720p: VP9 at 20 has the SSIM of H.264 at 16, at 60 % of its size.
_VP9_CRF_ABOVE_H264 = 4
# Three kB a frame at 256 px; a pixel is 1.7 of 255 levels off on average, mostly by the chroma.
_CLIP_CRF = 12


@dataclass(frozen=True)
class EncodeSettings:
    """How the result is encoded.

    Args:
        container: The kind of file.
        crf: H.264 constant rate factor, smaller is better; VP9 uses the like of it.
        preset: x264's speed; "superfast", which looks ahead here, at 16 has the SSIM of
            "veryfast" in two thirds to three quarters of its time, for files a tenth larger.
        threads: Encoder threads, 0 for its own choice.
    """

    container: Container = "mp4"
    crf: int = 16
    preset: str = "superfast"
    threads: int = 0


def timescale(times: FrameTimes) -> int:
    """Return ticks per second in which chunks and mp4 files count: the driver's, or a multiple."""
    scale = times.time_base.denominator
    if scale > _FINEST_SCALE:
        return _FINEST_SCALE
    while scale < _COARSEST_SCALE:
        scale *= 2
    return scale


def chunk_arguments(
    path: Path, size: tuple[int, int], scale: int, settings: EncodeSettings
) -> list[str]:
    """Return the arguments that encode a raw stream from standard input to one chunk.

    A chunk is an mp4 whatever its name, because only mp4 holds any time exactly. There are no
    B-frames: with them mp4 loses the last frame's duration, and with uneven times chunks overlap
    in decoding time. Every chunk starts with a key frame and refers to nothing outside itself.
    """
    stream = pipe_input(format="matroska")["v:0"]
    common = {
        "format": "mp4",
        "fps_mode": "passthrough",
        "enc_time_base": f"1/{scale}",
        "video_track_timescale": scale,
        "bf": 0,
    }
    if settings.threads:
        common["threads"] = settings.threads
    if settings.container == "gif":
        near_lossless = {"c:v": "libx264rgb", "crf": 8, "preset": "veryfast"}
        return arguments(stream.output(file_url(path), **common, **near_lossless))
    stream = _to_yuv(stream, size)
    if settings.container == "webm":
        codec = {
            "c:v": "libvpx-vp9",
            "crf": min(63, settings.crf + _VP9_CRF_ABOVE_H264),
            "b:v": 0,
            "deadline": "realtime",
            "cpu-used": 5,
            "row-mt": 1,
        }
    else:
        codec = {"c:v": "libx264", "crf": settings.crf, "preset": settings.preset, **_LOOKS_AHEAD}
    return arguments(stream.output(file_url(path), **common, **codec, **_TAGS))


def crop_arguments(path: Path) -> list[str]:
    """Return the arguments that keep a raw stream of crops exactly, as RGB in Matroska.

    Ut Video takes a quarter of the time of nearly lossless H.264, to write and to read.
    """
    stream = pipe_input(format="matroska")["v:0"].filter("format", "gbrp")
    # Without the flag Matroska gives each file a random number: the same crops are other bytes.
    options = {"c:v": "utvideo", "pred": "median", "fflags": "+bitexact"}
    return arguments(
        stream.output(file_url(path), format="matroska", fps_mode="passthrough", **options)
    )


def clip_arguments(path: Path, size: tuple[int, int]) -> list[str]:
    """Return the arguments that keep a raw stream of crops as a training clip in mp4.

    The matrix is BT.601's: that is what OpenCV takes, whether or not it reads the file's tags.
    One thread: clips are made side by side by processes of their own.
    """
    stream = _to_yuv(pipe_input(format="matroska")["v:0"], size, "bt601", "smpte170m")
    options = {"c:v": "libx264", "crf": _CLIP_CRF, "preset": "medium", "bf": 0, "threads": 1}
    tags = {"color_range": "tv", "colorspace": "smpte170m"}
    return arguments(
        stream.output(
            file_url(path), format="mp4", fps_mode="passthrough", fflags="+bitexact",
            **options, **tags,
        )
    )  # fmt: skip


def _to_yuv(
    stream: Any, size: tuple[int, int], matrix: str = "bt709", colorspace: str = "bt709"
) -> Any:
    """Return RGB as limited-range 4:2:0; an odd last row or column is cut off."""
    height, width = size
    even = (max(2, height - height % 2), max(2, width - width % 2))
    if even != size:
        stream = stream.filter("crop", min(width, even[1]), min(height, even[0]), 0, 0)
    stream = stream.filter(
        "scale", even[1], even[0], out_color_matrix=matrix, out_range="tv", flags=_EXACT
    )
    stream = stream.filter("format", "yuv420p")
    tags = {"range": "tv", "colorspace": colorspace}
    tags |= {"color_primaries": "bt709", "color_trc": "bt709"}
    return stream.filter("setparams", **tags)


def join_arguments(
    out: Path,
    times: FrameTimes,
    settings: EncodeSettings,
    sound: Sound | None,
    metadata: Mapping[str, str],
) -> list[str]:
    """Return the arguments that join the chunks listed on standard input and add the sound."""
    options: dict[str, Any] = {
        "format": _FORMATS[settings.container],
        "c:v": "copy",
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        "t": seconds_text(times.duration, math.ceil),
    }
    options |= _metadata(metadata)
    if settings.container in ("mp4", "mov"):
        options |= {
            "movflags": "+faststart",
            "video_track_timescale": timescale(times),
            "movie_timescale": _MOVIE_SCALE,
        }
    video = chunk_list_input()["v:0"]
    streams = [video]
    if sound is not None and sound.is_heard(times):
        sound_stream, sound_options = sound_output(sound, times, settings.container)
        streams.append(sound_stream)
        options |= sound_options
    return arguments(ffmpeg.output(*streams, file_url(out), **options))


def chunk_list_input() -> Any:
    """Return the input that reads the list of chunks (see ``chunk_list``) from standard input."""
    return pipe_input(format="concat", safe=0, copyts=None)


def chunk_list(names: list[str], starts: list[Fraction]) -> bytes:
    """Return the list of chunks for ffmpeg's concat demuxer.

    Durations are differences of rounded start times, so that no rounding adds up: every chunk
    begins within half a microsecond of its time, which rounds to the right tick.

    Args:
        names: File names, relative to the folder in which ffmpeg runs.
        starts: Start of every chunk in seconds, and the end of the last one.
    """
    marks = [round(start * 1_000_000) for start in starts]
    lines = ["ffconcat version 1.0"]
    for name, begin, end in zip(names, marks[:-1], marks[1:], strict=True):
        quoted = name.replace("'", "'\\''")
        lines += [f"file 'file:{quoted}'", f"duration {end - begin}us"]
    return ("\n".join(lines) + "\n").encode()


def palette_arguments(palette: Path) -> list[str]:
    """Return the arguments that choose 256 colours for all chunks listed on standard input."""
    stream = chunk_list_input()["v:0"].filter("palettegen", stats_mode="full")
    return arguments(stream.output(file_url(palette), format="image2", update=1, c="png"))


def gif_arguments(out: Path, palette: Path, times: FrameTimes) -> list[str]:
    """Return the arguments that write the chunks listed on standard input as a GIF.

    A GIF counts in hundredths of a second: each frame is within 5 ms of its time, nothing adds up.
    """
    video = chunk_list_input()["v:0"]
    colours = media_input(palette, format_whitelist="png_pipe")["v:0"]
    stream = ffmpeg.filter([video, colours], "paletteuse", dither="bayer", bayer_scale=3)
    last = times.duration - times.at(times.n_frames - 1)
    options = {
        "format": "gif",
        "fps_mode": "passthrough",
        "enc_time_base": "1/100",
        "loop": 0,
        "final_delay": max(1, round(last * 100)),
    }
    return arguments(stream.output(file_url(out), **options))


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return one ``-metadata`` option for each pair."""
    return {f"metadata:g:{i}": f"{key}={text}" for i, (key, text) in enumerate(metadata.items())}
