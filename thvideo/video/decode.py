"""ffmpeg graphs that turn a stored picture into upright full-range RGB with square pixels."""

import re
from pathlib import Path
from typing import Any

from thvideo.video.ffmpeg import arguments, media_input
from thvideo.video.probe import VideoInfo

# Every decoded frame comes out once, in the order of its time.
EVERY_FRAME = {"fps_mode": "passthrough"}
# Without these flags swscale repeats chroma samples and is up to five levels off.
_EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_SWSCALE_MATRICES = {
    "bt709": "bt709",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
# BT.2020, and Display P3 and the cinema's, as ffmpeg calls them.
_WIDE_PRIMARIES = frozenset({"bt2020", "smpte432", "smpte431"})
_FULL_RGB = {"matrix": "gbr", "range": "full"}
# Luminance of SDR white in an HDR picture, in cd/m2 (ITU-R BT.2408): what an SDR picture can show
# looks as it does there.
_SDR_WHITE_NITS = 203
# Brighter light is pressed together between this share of SDR white and white, up to the
# brightest light of the usual displays.
_KNEE = 0.8
_PEAK_NITS = 1000


def frames_arguments(
    path: Path,
    info: VideoInfo,
    size: tuple[int, int],
    start: int,
    stop: int | None,
    filters: frozenset[str],
) -> list[str]:
    """Return the arguments that write frames ``start .. stop - 1`` as RGB24 to standard output.

    Args:
        path: The video.
        info: What ``probe`` says of it.
        size: (height, width) of the frames written.
        start: First frame, counted from 0 in order of time.
        stop: The frame after the last; None for the end.
        filters: Names of the filters this ffmpeg has.
    """
    stream = media_input(path, copyts=None)["V:0"]
    if start or stop is not None:
        span = {"start_frame": start} | ({} if stop is None else {"end_frame": stop})
        stream = stream.filter("trim", **span)
    stream = to_rgb(stream, info, size, filters)
    return arguments(stream.output("pipe:1", format="rawvideo", pix_fmt="rgb24", **EVERY_FRAME))


def scan_arguments(path: Path, info: VideoInfo, size: tuple[int, int], times: int) -> list[str]:
    """Return the arguments of one decode that writes small RGB24 frames and all frame times.

    Args:
        path: The video.
        info: What ``probe`` says of it.
        size: (height, width) of the small frames written to standard output.
        times: Number of the open file that gets a framecrc line for each frame, with its time.
    """
    stream = media_input(path, copyts=None)["V:0"]
    stream = stream.filter("scale", size[1], size[0], flags="area").filter("format", "rgb24")
    split = stream.filter_multi_output("split")
    base = f"{info.time_base.numerator}/{info.time_base.denominator}"
    pixels = split[0].output("pipe:1", format="rawvideo", **EVERY_FRAME)
    exact = split[1].output(f"pipe:{times}", format="framecrc", enc_time_base=base, **EVERY_FRAME)
    return arguments(pixels, exact)


def to_rgb(stream: Any, info: VideoInfo, size: tuple[int, int], filters: frozenset[str]) -> Any:
    """Return the stream as full-range RGB with BT.709 primaries at ``size``.

    SDR keeps its primaries, as every player does, save wide ones, which would look pale.
    """
    if can_convert_gamut(filters):
        if info.is_hdr:
            return _tone_mapped(stream, info, size)
        if info.primaries in _WIDE_PRIMARIES:
            stream = _tagged(stream, info).filter(
                "zscale", size[1], size[0], primaries="bt709", transfer="bt709", **_FULL_RGB
            )
            return stream.filter("format", "gbrp").filter("format", "rgb24")
    options = {"out_range": "pc", "flags": _EXACT}
    if not info.is_rgb:
        options["in_range"] = info.color_range
        if info.matrix in _SWSCALE_MATRICES:
            options["in_color_matrix"] = _SWSCALE_MATRICES[info.matrix]
    stream = stream.filter("scale", size[1], size[0], **options)
    # Planes first: swscale's exact path to packed RGB is three times slower.
    return stream.filter("format", "gbrp").filter("format", "rgb24")


def can_convert_gamut(filters: frozenset[str]) -> bool:
    """Whether HDR can be tone-mapped: ffmpeg is built with zimg."""
    return {"zscale", "tonemap"} <= filters


def _tone_mapped(stream: Any, info: VideoInfo, size: tuple[int, int]) -> Any:
    stream = _tagged(stream, info)
    stream = stream.filter("zscale", size[1], size[0], transfer="linear", npl=_SDR_WHITE_NITS)
    stream = stream.filter("format", "gbrpf32le").filter("zscale", primaries="bt709")
    peak = _PEAK_NITS / _SDR_WHITE_NITS
    stream = stream.filter("tonemap", "mobius", param=_KNEE, peak=peak, desat=0)
    stream = stream.filter("zscale", transfer="bt709", **_FULL_RGB)
    return stream.filter("format", "gbrp").filter("format", "rgb24")


def _tagged(stream: Any, info: VideoInfo) -> Any:
    """Fill in tags that the file lacks: zscale refuses to convert what is unknown."""
    is_known = re.fullmatch(r"smpte2084|arib-std-b67|bt2020-1[02]|bt709", info.transfer)
    return stream.filter(
        "setparams",
        range=info.color_range,
        colorspace=info.matrix if info.matrix in {"gbr", *_SWSCALE_MATRICES} else "bt2020nc",
        color_primaries="bt2020" if info.primaries == "unknown" else info.primaries,
        color_trc=info.transfer if is_known else "bt709",
    )
