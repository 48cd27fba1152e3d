"""Tell a file that was cut off from a whole one: by the times of what is really in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import ffmpeg

from thvideo.errors import InputError
from thvideo.video.ffmpeg import arguments, media_input, running
from thvideo.video.probe import VideoInfo
from thvideo.video.timing import FrameTimes

# Containers whose index or header says how long they are; of others ffmpeg guesses.
_DECLARE = frozenset({"mov", "matroska", "avi", "flv", "asf"})
_DISCARD = 0x4  # AV_PKT_FLAG_DISCARD
# Containers round what they declare, and a last frame may be declared longer than it is.
_MISSING_S = 0.5
_MISSING_SHARE = 0.02


@dataclass(frozen=True)
class _Packets:
    """When the packets of a file end, in seconds on its clock.

    Args:
        picture_end_s: The end of the picture's last packet.
        end_s: The end of the last packet of all streams.
        stops_inside: Whether the file ends, or is damaged, inside a packet.
    """

    picture_end_s: float
    end_s: float
    stops_inside: bool


def check_whole(path: Path, info: VideoInfo, times: FrameTimes) -> None:
    """Raise if the file ends well before the time it declares, or its last part is no picture.

    The clock need not begin at 0, and sound or subtitles may be longer than the picture.

    Args:
        path: The video.
        info: What ``probe`` says of it.
        times: The times of the frames that were decoded.

    Raises:
        InputError: Frames are missing at the end.
    """
    decoded_s = float(times.start + times.duration)
    frame_s = times.duration_s / times.n_frames
    if decoded_s >= info.end_s - frame_s:
        return
    packets = _packets(path)
    tolerance_s = max(_MISSING_S, _MISSING_SHARE * info.duration_s)
    wanted_s = packets.picture_end_s
    if set(info.container.split(",")) & _DECLARE:
        declared_s = min(info.end_s, info.duration_s)
        if packets.stops_inside:
            # What is missing is no rounding, nor a segment of a stream that counts from 0.
            declared_s, tolerance_s = info.end_s, frame_s
        if packets.end_s < declared_s - tolerance_s:
            wanted_s = declared_s
    if decoded_s < wanted_s - tolerance_s:
        raise InputError(
            f"{path} ends at frame {times.n_frames} ({decoded_s:.2f} s of {wanted_s:.2f} s)",
            hint="the file is cut off: copy or download it again, or cut the rest away with "
            "ffmpeg -i FILE -c copy SHORTER.mkv",
        )


def _packets(path: Path) -> _Packets:
    """Read the times of all packets, without decoding."""
    source = media_input(path, copyts=None, xerror=None)
    streams = [source[kind] for kind in ("V:0", "a?", "s?", "d?")]
    output = ffmpeg.output(*streams, "pipe:1", format="framecrc", c="copy", copy_unknown=None)
    bases: dict[int, Fraction] = {}
    ends: dict[int, int] = {}
    with running(arguments(output), reads=True) as child:
        for line in cast("Iterator[bytes]", child.process.stdout):
            if header := re.match(rb"#tb (\d+): (\d+)/(\d+)", line):
                stream, numerator, denominator = map(int, header.groups())
                bases[stream] = Fraction(numerator, denominator)
            elif line[:1].isdigit() and not _is_discarded(line):
                stream, _, pts, duration = (int(value) for value in line.split(b",")[:4])
                ends[stream] = max(ends.get(stream, pts), pts + duration)
        # Matroska's demuxer tells of it in words alone.
        stops_inside = child.process.wait() != 0 or any(
            line.endswith("File ended prematurely") for line in child.lines()
        )
    seconds = {stream: float(end * bases[stream]) for stream, end in ends.items()}
    return _Packets(seconds.get(0, 0.0), max(seconds.values(), default=0.0), stops_inside)


def _is_discarded(line: bytes) -> bool:
    """Tell a packet that is there for other frames alone, as where an edit list cuts them off."""
    flags = re.search(rb", F=0x([0-9A-F]+)", line)
    return flags is not None and bool(int(flags[1], 16) & _DISCARD)
