"""The sounds that a file holds, and which of them can be heard with the ffmpeg that is here."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

from thvideo.video.ffmpeg import arguments, media_input, running
from thvideo.video.probe import audio_lines

# "Audio: ac3 (AC-3 / 0x332D4341), 48000 Hz, 5.1(side), fltp, 192 kb/s (default)"
_AUDIO = re.compile(r": Audio: (\w+)[^,]*(?:, (\d+) Hz)?(?:, ([^,]+))?(?:, (\w+))?")
# ffmpeg has a usual layout for up to this many channels.
_NAMED_CHANNELS = 8


@dataclass(frozen=True)
class AudioStream:
    """One sound of a file, in ffmpeg's words.

    Args:
        index: Which of the file's sounds it is, from 0.
        codec: Name of the codec; "none" or "unknown" where ffmpeg knows none.
        rate: Samples per second, 0 where the file does not tell.
        layout: Where its channels are heard: "mono", "5.1(side)", "4 channels".
        sample_format: How a sample is stored: "s16", "fltp".
    """

    index: int
    codec: str
    rate: int
    layout: str
    sample_format: str

    @property
    def blend(self) -> str:
        """The sum that makes one channel of those that have no place, "" where all have one.

        ffmpeg knows no way from such channels to loudspeakers. Ambisonic's first one is what an
        omnidirectional microphone hears.
        """
        counted = re.match(r"(\d+) channels", self.layout)
        n = int(counted[1]) if counted else 1 if self.layout.startswith("ambisonic") else 0
        return "+".join(f"c{i}" for i in range(n)) if n > _NAMED_CHANNELS or n == 1 else ""

    def __str__(self) -> str:
        """Say what it is, as notices do."""
        rate = f" {self.rate} Hz" if self.rate else ""
        return f"{self.codec}{rate} {self.layout}".strip()


@dataclass(frozen=True)
class PacketSpan:
    """When a sound begins and ends, on the file's clock.

    Args:
        start: Seconds at which the first packet begins; decoders may drop its first samples.
        end: Seconds at which the last packet ends.
    """

    start: Fraction
    end: Fraction


def audio_streams(path: Path) -> list[AudioStream]:
    """Return all sounds of a file, whether or not they can be decoded.

    Raises:
        InputError: The file is empty or no media file.
    """
    return [parse_audio_line(index, line) for index, line in enumerate(audio_lines(path))]


def parse_audio_line(index: int, line: str) -> AudioStream:
    """Return what a line of ffmpeg's description of a file says of a sound."""
    found = _AUDIO.search(line)
    codec, rate, layout, sample_format = found.groups() if found else ("unknown", None, None, None)
    return AudioStream(index, codec, int(rate or 0), layout or "", sample_format or "")


def heard_stream(path: Path) -> tuple[AudioStream, Fraction] | None:
    """Return the first sound that a decoder puts samples out of, or None.

    Returns:
        The sound, and the time of its first sample on the file's clock in seconds.

    Raises:
        InputError: The file is empty or no media file.
    """
    for stream in audio_streams(path):
        start = _first_heard(path, stream.index)
        if start is not None:
            return stream, start
    return None


def _first_heard(path: Path, index: int) -> Fraction | None:
    sound = media_input(path, copyts=None, vn=None)[f"a:{index}"]
    options = {"format": "framecrc", "c:a": "pcm_s16le", "frames:a": 1}
    times, _, base = _listed(_told(arguments(sound.output("pipe:1", **options))))
    return times[0] * base if times else None


def packet_span(path: Path, index: int = 0) -> PacketSpan | None:
    """Read the times of all packets of a sound, without decoding; None if there are none."""
    times, ends, base = _listed(_told(packets_arguments(path, index)))
    return PacketSpan(min(times) * base, max(ends) * base) if times else None


def packets_arguments(path: Path, index: int) -> list[str]:
    """Return the arguments that list a sound's packets."""
    sound = media_input(path, copyts=None, vn=None)[f"a:{index}"]
    return arguments(sound.output("pipe:1", format="framecrc", **{"c:a": "copy"}))


def _told(args: list[str]) -> bytes:
    """Return what ffmpeg writes, also where it fails: no decoder, or damage later on."""
    with running(args, reads=True) as child:
        return cast(bytes, child.process.stdout.read())  # type: ignore[union-attr]  # reads=True


def _listed(output: bytes) -> tuple[list[int], list[int], Fraction]:
    """Return starts and ends in a framecrc listing of one stream, and their time base."""
    found = re.search(rb"#tb 0: (\d+)/(\d+)", output)
    rows = [line.split(b",") for line in output.splitlines() if line[:1].isdigit()]
    starts = [int(row[2]) for row in rows]
    ends = [int(row[2]) + int(row[3]) for row in rows]
    return starts, ends, Fraction(int(found[1]), int(found[2])) if found else Fraction(1)
