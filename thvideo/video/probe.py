"""What a media file holds, read from what ffmpeg says of it and of its first frame.

The ffmpeg that comes with imageio-ffmpeg has no ffprobe, and another library's decoders could see
another file than the ones that decode it. So known lines of ffmpeg's log are parsed: each begins
as no text in a file can (that is indented), and the file's own name is taken out before.
"""

import json
import os
import re
import subprocess
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from thvideo.errors import InputError
from thvideo.reading import json_of
from thvideo.shapes import MAX_PIXELS, MAX_SIDE_PX, reduced
from thvideo.video.ffmpeg import READS_ONLY_THE_FILE, ffmpeg_path, meaningful_line

# Above these sizes players take video without a tag for BT.709; mpv and VLC draw the same line.
_HD_WIDTH, _HD_HEIGHT = 1280, 576
_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
# What `-loglevel level+info` puts before a line; a frame's line also names the filter.
_INFO = r"^\[info\] "
_OF_FRAME = r"^\[Parsed_showinfo_\d+ @ \w+\] \[info\] "

Wanted = Literal["video", "sound"]
_WANTED: dict[Wanted, tuple[str, str]] = {
    "video": ("a video", "give an mp4, mov, mkv or webm file"),
    "sound": ("sound", "give an m4a, mp3, wav or flac file, or a video with sound"),
}


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of its first real picture stream and of its first sound.

    Args:
        size: (height, width) of the frames as they are delivered: upright, square pixels, the
            longer side reduced where it has more of them than is read.
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
        end_s: When it ends on its own clock by what it declares; 0 if it does not.
        container: ffmpeg's name of the container.
        audio_codec: Name of the first sound's codec, "" without sound.
        audio_rate: Samples per second, 0 without sound.
    """

    size: tuple[int, int]
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
    end_s: float
    container: str
    audio_codec: str
    audio_rate: int

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
        values = json_of(text)
        for name in ("time_base", "rate"):
            values[name] = Fraction(values[name])
        values["size"] = tuple(values["size"])
        return VideoInfo(**values)


@dataclass(frozen=True)
class AudioInfo:
    """The first sound of a file: codec and samples per second."""

    codec: str
    rate: int


def probe(path: Path) -> VideoInfo:
    """Read what the file holds; of the picture, its first frame is decoded.

    Raises:
        InputError: The file is empty, no media file, a playlist, has no picture or too large ones.
    """
    said = _ask(path, "video")
    videos = [line for line in said.streams("Video") if not _IS_COVER.search(line)]
    audio = parse_audio(said.streams("Audio"))
    if not videos:
        if audio:
            raise InputError(
                f"{path} has sound but no picture", hint="give a video; sound goes to --audio"
            )
        raise InputError(f"{path} holds no video", hint="give an mp4, mov, mkv or webm file")
    return VideoInfo(
        **_stream(videos[0]),
        **_first_frame(path, said.log, videos[0]),
        **said.span(),
        container=said.container(),
        audio_codec=audio.codec if audio else "",
        audio_rate=audio.rate if audio else 0,
    )


def audio_lines(path: Path) -> list[str]:
    """Return the lines in which ffmpeg describes the file's sounds.

    Raises:
        InputError: The file is empty or no media file.
    """
    return _ask(path, "sound").streams("Audio")


_IS_COVER = re.compile(r"\((attached pic|timed thumbnails)\)")


@dataclass(frozen=True)
class _Said:
    """What ffmpeg says of a file: its description, from ``Input #0`` on, and the whole log."""

    description: str
    log: str

    def container(self) -> str:
        found = re.match(rf"{_INFO}Input #0, ([^ ]+), from ", self.description)
        return found[1] if found else ""

    def span(self) -> dict[str, Any]:
        pattern = rf"{_INFO}  Duration: (\d+):(\d+):(\d+\.\d+), start: (-?\d+\.\d+)"
        found = re.search(pattern, self.description, re.M)
        if found is None:
            return {"duration_s": 0.0, "end_s": 0.0}
        hours, minutes, seconds, start_s = map(float, found.groups())
        declared_s = 3600 * hours + 60 * minutes + seconds
        # Matroska counts from 0, wherever its first frame lies.
        if "matroska" in self.container() and start_s < declared_s:
            return {"duration_s": declared_s - start_s, "end_s": declared_s}
        return {"duration_s": declared_s, "end_s": start_s + declared_s}

    def streams(self, kind: str) -> list[str]:
        return re.findall(rf"{_INFO}  Stream #0:\d+.*?: {kind}: .*$", self.description, re.M)


def _ask(path: Path, wanted: Wanted) -> _Said:
    """Let ffmpeg describe the file and, where a video is wanted, decode its first frame.

    Raises:
        InputError: The file is missing, empty, a playlist, or ffmpeg cannot read it.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file", hint="check the name")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)", hint="copy or download it again")
    args = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info"]
    for name, value in READS_ONLY_THE_FILE.items():
        args += [f"-{name}", value]
    url = f"file:{path.absolute()}"
    args += ["-i", url]
    if wanted == "video":
        args += ["-map", "0:V:0", "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"]
    done = subprocess.run([str(ffmpeg_path()), *args], capture_output=True, check=False)
    log = os.fsdecode(done.stderr).replace(url, "")
    start = log.find("[info] Input #0, ")
    if start < 0:
        raise _unreadable(path, log, wanted)
    # What follows the description repeats the file's texts.
    return _Said(log[start:].partition("[info] Stream mapping:\n")[0], log)


def _unreadable(path: Path, log: str, wanted: Wanted) -> InputError:
    # With a low score ffmpeg went by the file's name alone.
    if "moov atom not found" in log and "low score" not in log:
        return InputError(
            f"{path} is cut off: the index at its end is missing",
            hint="copy, download or record it again",
        )
    what, hint = _WANTED[wanted]
    if "Format not on whitelist" in log:
        return InputError(f"{path} is not {what}, nor any file that could hold one", hint=hint)
    return InputError(f"{path} is not {what} that ffmpeg can read: {_reason(log)}", hint=hint)


def _reason(log: str) -> str:
    """Return the last error in a log."""
    errors = [line for line in log.splitlines() if "[error]" in line or "[fatal]" in line]
    return meaningful_line(errors)


def parse_audio(lines: list[str]) -> AudioInfo | None:
    """Return codec and rate from ffmpeg's ``Stream ... Audio:`` lines, or None without any."""
    if not lines:
        return None
    found = re.search(r"Audio: (\w+).*?(?:, (\d+) Hz|$)", lines[0])
    return AudioInfo(found[1], int(found[2] or 0)) if found else None


def _stream(line: str) -> dict[str, Any]:
    """Return the fields of ``VideoInfo`` that only a ``Stream ... Video:`` line tells."""
    codec = re.search(r"Video: (\w+)", line)
    rate = re.search(r", ([\d.]+)(k?) fps", line)
    return {
        "codec": codec[1] if codec else "",
        "rate": Fraction(rate[1]) * (1000 if rate[2] else 1) if rate else Fraction(0),
    }


def _first_frame(path: Path, log: str, line: str) -> dict[str, Any]:
    """Return the fields of ``VideoInfo`` that the first frame tells, turned upright by ffmpeg.

    The frame knows more than the stream: a turn in its SEI or EXIF, and the container's aspect
    where the codec has another one.
    """
    base = re.search(rf"{_OF_FRAME}config in time_base: (\d+)/(\d+)", log, re.M)
    frame = re.search(
        rf"{_OF_FRAME}n: *0 .*?\bfmt:(\w+) .*?\bsar:(\d+)/(\d+) s:(\d+)x(\d+) ", log, re.M
    )
    if base is None or frame is None:
        raise InputError(
            f"{path} holds no frame that can be decoded: {_reason(log)}",
            hint="play it to see whether it is damaged, or convert it to mp4",
        )
    pix_fmt = frame[1]
    across, down, width, height = map(int, frame.groups()[1:])
    sar = Fraction(across, down) if across and down else Fraction(1)
    tags = re.search(
        rf"{_OF_FRAME}color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)",
        log,
        re.M,
    )
    stored = re.search(r", (\d+)x(\d+)", line)
    is_hd = stored is not None and (int(stored[1]) >= _HD_WIDTH or int(stored[2]) > _HD_HEIGHT)
    return {
        "size": _delivered(path, _square(height, width, sar)),
        "pix_fmt": pix_fmt,
        "bit_depth": _bit_depth(pix_fmt),
        "time_base": Fraction(int(base[1]), int(base[2])),
        **_colours(tags.groups() if tags else ("unknown",) * 4, pix_fmt, is_hd),
    }


def _square(height: int, width: int, sar: Fraction) -> tuple[int, int]:
    """Return (height, width) with square pixels: the short axis is stretched, none is reduced."""
    if sar > 1:
        width = max(1, round(width * sar))
    elif sar < 1:
        height = max(1, round(height / sar))
    return height, width


def _delivered(path: Path, size: tuple[int, int]) -> tuple[int, int]:
    """Return the size that frames are read at: what is larger than a picture may be is reduced."""
    height, width = size
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{path} has frames of {width} x {height} pixels; at most "
            f"{MAX_PIXELS // 1_000_000} megapixels are read",
            hint=f"make it smaller first, or mend its aspect: ffmpeg -i FILE -vf "
            f"scale={MAX_SIDE_PX // 2}:-2,setsar=1 SMALLER.mp4",
        )
    return reduced(size)


def _bit_depth(pix_fmt: str) -> int:
    found = re.search(r"(?:p|gray|x2rgb|x2bgr|p0|p2|p4|v)(9|10|12|14|16)(?:le|be)?$", pix_fmt)
    return int(found[1]) if found else 8


def _colours(tags: tuple[str, ...], pix_fmt: str, is_hd: bool) -> dict[str, str]:
    """Return range, matrix, primaries and transfer, filling in what the tags leave open."""
    color_range, matrix, primaries, transfer = tags
    is_rgb = re.match(r"(gbr|rgb|bgr|argb|abgr|0rgb|pal8|x2rgb|x2bgr|mono)", pix_fmt) is not None
    if color_range not in ("tv", "pc"):
        color_range = "pc" if is_rgb or pix_fmt.startswith("yuvj") else "tv"
    if is_rgb:
        matrix = "gbr"
    elif matrix in ("unknown", "reserved", "gbr"):
        matrix = "bt2020nc" if transfer in _HDR_TRANSFERS else "bt709" if is_hd else "smpte170m"
    return {
        "color_range": color_range,
        "matrix": matrix,
        "primaries": primaries,
        "transfer": transfer,
    }
