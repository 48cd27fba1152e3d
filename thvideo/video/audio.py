"""Sound: where it lies against the picture, and whether it is copied or encoded once."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from thvideo.errors import InputError
from thvideo.video.ffmpeg import arguments, media_input, run_ffmpeg
from thvideo.video.probe import probe_audio
from thvideo.video.timing import FrameTimes

Container = Literal["mp4", "mov", "mkv", "webm", "gif"]

_COPIED: dict[str, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "mkv": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "alac", "opus", "vorbis", "flac"}),
    "webm": frozenset({"opus", "vorbis"}),
}
_PCM_CONTAINERS = frozenset({"mov", "mkv"})
_ENCODERS: dict[str, tuple[str, str]] = {
    "mp4": ("aac", "192k"),
    "mov": ("aac", "192k"),
    "mkv": ("aac", "192k"),
    "webm": ("libopus", "160k"),
}


@dataclass(frozen=True)
class PacketSpan:
    """When a file's first sound begins and ends, on the file's clock.

    Args:
        start: Seconds at which the first packet begins; decoders may drop its first samples.
        end: Seconds at which the last packet ends.
    """

    start: Fraction
    end: Fraction


@dataclass(frozen=True)
class Sound:
    """The sound that goes to a video.

    Args:
        path: The file that holds it; its first sound is meant.
        codec: ffmpeg's name of the codec.
        zero: The time on the file's clock that is the video's time 0, in seconds.
        offset: Seconds from the first video frame to the first audible sample; negative if the
            sound begins earlier.
        duration: Seconds from the first audible sample to the end of the last packet.
        lead: Seconds by which the first packet begins before the first audible sample; encoders
            put this priming there, and decoders take it away.
    """

    path: Path
    codec: str
    zero: Fraction
    offset: Fraction
    duration: Fraction
    lead: Fraction


def driver_sound(path: Path, times: FrameTimes) -> Sound | None:
    """Return the sound of a video whose frames appear at ``times``, or None if it has none."""
    return _sound(path, times.start)


def file_sound(path: Path) -> Sound:
    """Return a file's sound, to be heard from its first sample on at the video's first frame.

    Raises:
        InputError: The file has no sound.
    """
    sound = _sound(path, None)
    if sound is None:
        raise InputError(f"{path} has no sound", hint="give another file to --audio, or none")
    return sound


def _sound(path: Path, zero: Fraction | None) -> Sound | None:
    info = probe_audio(path)
    span = packet_span(path) if info is not None else None
    if info is None or span is None:
        return None
    heard = _first_heard(path, span.start)
    zero = heard if zero is None else zero
    return Sound(path, info.codec, zero, heard - zero, span.end - heard, heard - span.start)


def _first_heard(path: Path, default: Fraction) -> Fraction:
    """Return the file's time of the first sample that a decoder puts out."""
    stream = media_input(path, copyts=None, vn=None)["a:0"]
    options = {"format": "framecrc", "c:a": "pcm_s16le", "frames:a": 1}
    times, _, base = _listed(run_ffmpeg(arguments(stream.output("pipe:1", **options))))
    return times[0] * base if times else default


def packet_span(path: Path) -> PacketSpan | None:
    """Read the times of all packets of the first sound, without decoding; None if it has none."""
    output = run_ffmpeg(packets_arguments(path), what=f"cannot read the sound of {path}")
    times, ends, base = _listed(output)
    return PacketSpan(min(times) * base, max(ends) * base) if times else None


def _listed(output: bytes) -> tuple[list[int], list[int], Fraction]:
    """Return starts and ends in a framecrc listing of one stream, and their time base."""
    found = re.search(rb"#tb 0: (\d+)/(\d+)", output)
    rows = [line.split(b",") for line in output.splitlines() if line[:1].isdigit()]
    starts = [int(row[2]) for row in rows]
    ends = [int(row[2]) + int(row[3]) for row in rows]
    return starts, ends, Fraction(int(found[1]), int(found[2])) if found else Fraction(1)


def packets_arguments(path: Path) -> list[str]:
    """Return the arguments that list the first sound's packets."""
    stream = media_input(path, copyts=None, vn=None)["a:0"]
    return arguments(stream.output("pipe:1", format="framecrc", **{"c:a": "copy"}))


def is_copied(codec: str, container: Container) -> bool:
    """Whether the container takes the codec as it is."""
    if codec.startswith("pcm_"):
        return container in _PCM_CONTAINERS
    return codec in _COPIED.get(container, frozenset())


def encoder(container: Container) -> tuple[str, str]:
    """Return the encoder and bit rate for sound that cannot be copied into the container."""
    return _ENCODERS[container]
