"""What a media file holds, read from ffmpeg's own description of it."""

import json
import re
import subprocess
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from thvideo.errors import InputError
from thvideo.video.ffmpeg import PROTOCOLS, ffmpeg_path, file_url, meaningful_line

# Demuxers that open other files: a person's "video" must not make us read those.
_PLAYLISTS = frozenset({"hls", "applehttp", "concat", "dash", "imf", "sdp"})
# Above these sizes players take video without a tag for BT.709; mpv and VLC draw the same line.
_HD_WIDTH, _HD_HEIGHT = 1280, 576
_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})

Wanted = Literal["video", "sound"]
_WANTED: dict[Wanted, tuple[str, str]] = {
    "video": ("a video", "give an mp4, mov, mkv or webm file"),
    "sound": ("sound", "give an m4a, mp3, wav or flac file, or a video with sound"),
}


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of its first real picture stream and of its first sound.

    Args:
        size: (height, width) of the frames as they are delivered: upright, square pixels.
        coded_size: (height, width) as stored.
        sar: Width of a stored pixel divided by its height.
        rotation_deg: Clockwise turn that makes stored frames upright: 0, 90, 180 or 270.
        codec: Name of the video codec.
        pix_fmt: ffmpeg's name of the pixel format.
        bit_depth: Bits of one sample.
        color_range: "tv" or "pc".
        matrix: YUV matrix in ffmpeg's words; a guess by size when the file has no tag; "gbr" for
            RGB.
        primaries: Colour primaries, "unknown" without a tag.
        transfer: Transfer curve, "unknown" without a tag.
        time_base: Seconds of one tick of the stream's times.
        rate: Average frames per second as the file declares them; 0 if it does not.
        duration_s: Seconds the file declares in all; 0 if it does not.
        container: ffmpeg's name of the container.
        audio_codec: Name of the first sound's codec, "" without sound.
        audio_rate: Samples per second, 0 without sound.
        n_other_streams: Subtitles, data and further streams.
    """

    size: tuple[int, int]
    coded_size: tuple[int, int]
    sar: Fraction
    rotation_deg: int
    codec: str
    pix_fmt: str
    bit_depth: int
    color_range: str
    matrix: str
    primaries: str
    transfer: str
    time_base: Fraction
    rate: Fraction
    duration_s: float
    container: str
    audio_codec: str
    audio_rate: int
    n_other_streams: int

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return bool(self.audio_codec)

    @property
    def is_hdr(self) -> bool:
        """Whether the picture is PQ or HLG and needs tone mapping."""
        return self.transfer in _HDR_TRANSFERS

    @property
    def is_rgb(self) -> bool:
        """Whether the samples are RGB (or palette) already."""
        return self.matrix == "gbr"

    def to_json(self) -> str:
        """Return the info as JSON text; fractions are text such as "24000/1001"."""
        return json.dumps(asdict(self), default=str, indent=1)

    @staticmethod
    def from_json(text: str) -> "VideoInfo":
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        for name in ("sar", "time_base", "rate"):
            values[name] = Fraction(values[name])
        for name in ("size", "coded_size"):
            values[name] = tuple(values[name])
        return VideoInfo(**values)


@dataclass(frozen=True)
class AudioInfo:
    """The first sound of a file: codec and samples per second."""

    codec: str
    rate: int


def probe(path: Path) -> VideoInfo:
    """Read what the file holds, without decoding it.

    Raises:
        InputError: The file is empty, no media file, a playlist, or has no picture.
    """
    text = describe(path)
    container = _container(text)
    videos = [line for line in _stream_lines(text, "Video") if "(attached pic)" not in line]
    sounds = _stream_lines(text, "Audio")
    if not videos:
        if sounds:
            raise InputError(
                f"{path} has sound but no picture", hint="give a video; sound goes to --audio"
            )
        raise InputError(f"{path} holds no video", hint="give an mp4, mov, mkv or webm file")
    audio = parse_audio(sounds)
    about_video = text.partition(videos[0])[2].partition("  Stream #")[0]
    rotation = re.search(r"rotation of (-?[\d.]+) deg", about_video)
    picture = _parse_video(path, videos[0], -float(rotation[1]) if rotation else 0.0)
    n_streams = len(re.findall(r"^ *Stream #0:", text, re.M))
    duration = re.search(r"Duration: (\d+):(\d+):(\d+(?:\.\d+)?)", text)
    hours, minutes, seconds = duration.groups() if duration else (0, 0, 0)
    return VideoInfo(
        **picture,
        time_base=_time_base(path),
        duration_s=int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        container=container,
        audio_codec=audio.codec if audio else "",
        audio_rate=audio.rate if audio else 0,
        n_other_streams=n_streams - 1 - bool(audio),
    )


def probe_audio(path: Path) -> AudioInfo | None:
    """Return the file's first sound, or None.

    Raises:
        InputError: The file is empty or no media file.
    """
    return parse_audio(_stream_lines(describe(path, "sound"), "Audio"))


def describe(path: Path, wanted: Wanted = "video") -> str:
    """Return ffmpeg's description of the file, from ``Input #0`` on.

    Args:
        path: The file.
        wanted: What the file is for, as errors shall say it.

    Raises:
        InputError: The file is missing, empty, a playlist, or ffmpeg cannot read it.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file", hint="check the name")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)", hint="copy or download it again")
    args = ["-hide_banner", "-nostdin", "-protocol_whitelist", PROTOCOLS, "-i", file_url(path)]
    done = subprocess.run([str(ffmpeg_path()), *args], capture_output=True, check=False)
    text = done.stderr.decode("utf-8", "replace")
    start = text.find("Input #0, ")
    if start < 0:
        raise _unreadable(path, text, wanted)
    text = text[start:]
    if set(_container(text).split(",")) & _PLAYLISTS:
        what, _ = _WANTED[wanted]
        raise InputError(f"{path} is a playlist, not {what}", hint=f"give the {wanted} itself")
    return text


def _unreadable(path: Path, text: str, wanted: Wanted) -> InputError:
    # With a low score ffmpeg went by the file's name alone.
    if "moov atom not found" in text and "low score" not in text:
        return InputError(
            f"{path} is cut off: the index at its end is missing",
            hint="copy, download or record it again",
        )
    what, hint = _WANTED[wanted]
    return InputError(
        f"{path} is not {what} that ffmpeg can read: {meaningful_line(text.splitlines())}",
        hint=hint,
    )


def _container(text: str) -> str:
    found = re.match(r"Input #0, (\S+), from ", text)
    return found[1] if found else ""


def _stream_lines(text: str, kind: str) -> list[str]:
    return re.findall(rf"^ *Stream #0:\d+.*?: {kind}: .*$", text, re.M)


def parse_audio(lines: list[str]) -> AudioInfo | None:
    """Return codec and rate from ffmpeg's ``Stream ... Audio:`` lines, or None without any."""
    if not lines:
        return None
    found = re.search(r"Audio: (\w+).*?(?:, (\d+) Hz|$)", lines[0])
    return AudioInfo(found[1], int(found[2] or 0)) if found else None


def _parse_video(path: Path, line: str, turn_deg: float) -> dict[str, Any]:
    """Return the fields of ``VideoInfo`` that one ``Stream ... Video:`` line tells."""
    fields = re.search(r"Video: (\w+).*?, (\w+)(?:\(([^)]*)\))?, (\d+)x(\d+)", line)
    if fields is None:
        raise InputError(
            f"{path} holds a picture of unknown size or format", hint="convert it to mp4 first"
        )
    codec, pix_fmt, colours, width, height = fields.groups()
    coded = (int(height), int(width))
    sar_text = re.search(r"SAR (\d+):(\d+)", line)
    sar = Fraction(int(sar_text[1]), int(sar_text[2])) if sar_text and sar_text[1] != "0" else 1
    rotation = round(turn_deg / 90) % 4 * 90
    rate = re.search(r", ([\d.]+)(k?) fps", line)
    return {
        "size": _delivered_size(coded, Fraction(sar), rotation),
        "coded_size": coded,
        "sar": Fraction(sar),
        "rotation_deg": rotation,
        "codec": codec,
        "pix_fmt": pix_fmt,
        "bit_depth": _bit_depth(pix_fmt),
        "rate": Fraction(rate[1]) * (1000 if rate[2] else 1) if rate else Fraction(0),
        **_colours(colours or "", pix_fmt, coded),
    }


def _delivered_size(coded: tuple[int, int], sar: Fraction, rotation: int) -> tuple[int, int]:
    """Return (height, width) with square pixels: the short axis is stretched, none is reduced."""
    height, width = coded
    if sar > 1:
        width = max(1, round(width * sar))
    elif sar < 1:
        height = max(1, round(height / sar))
    return (width, height) if rotation in (90, 270) else (height, width)


def _bit_depth(pix_fmt: str) -> int:
    found = re.search(r"(?:p|gray|x2rgb|x2bgr|p0|p2|p4|v)(9|10|12|14|16)(?:le|be)?$", pix_fmt)
    return int(found[1]) if found else 8


def _colours(text: str, pix_fmt: str, coded: tuple[int, int]) -> dict[str, str]:
    """Return range, matrix, primaries and transfer, filling in what the tags leave open."""
    words = [word.strip() for word in text.split(",")]
    is_rgb = re.match(r"(gbr|rgb|bgr|argb|abgr|0rgb|pal8|x2rgb|x2bgr|mono)", pix_fmt) is not None
    color_range = next((word for word in words if word in ("tv", "pc")), "")
    if not color_range:
        color_range = "pc" if is_rgb or pix_fmt.startswith("yuvj") else "tv"
    matrix = primaries = transfer = "unknown"
    for word in words:
        parts = word.split("/")
        if len(parts) == 3:
            matrix, primaries, transfer = parts
        elif re.match(r"(bt|smpte|fcc|gbr|ycgco|ictcp|iec|arib|film)\S*$", word):
            matrix = primaries = transfer = word
    if is_rgb:
        matrix = "gbr"
    elif matrix in ("unknown", "reserved", "gbr"):
        is_hd = coded[1] >= _HD_WIDTH or coded[0] > _HD_HEIGHT
        matrix = "bt2020nc" if transfer in _HDR_TRANSFERS else "bt709" if is_hd else "smpte170m"
    return {
        "color_range": color_range,
        "matrix": matrix,
        "primaries": primaries,
        "transfer": transfer,
    }


def _time_base(path: Path) -> Fraction:
    """Return the exact time base; the description rounds it ("90k tbn"), framecrc does not."""
    args = ["-v", "error", "-nostdin", "-protocol_whitelist", PROTOCOLS, "-i", file_url(path)]
    args += ["-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", "framecrc", "pipe:1"]
    done = subprocess.run([str(ffmpeg_path()), *args], capture_output=True, check=False)
    found = re.search(rb"#tb 0: (\d+)/(\d+)", done.stdout)
    if found is None:
        reason = meaningful_line(done.stderr.decode("utf-8", "replace").splitlines())
        raise InputError(f"{path} holds no frame that can be read: {reason}")
    return Fraction(int(found[1]), int(found[2]))
