"""Sound: where it lies against the picture, and whether it is copied or encoded once."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from thvideo.errors import InputError
from thvideo.video.ffmpeg import media_input, seconds_text
from thvideo.video.formats import AudioEncoding, Container, encoding, holds
from thvideo.video.streams import AudioStream, audio_streams, heard_stream, packet_span
from thvideo.video.timing import FrameTimes

# How much sound before the picture an edit list may hide: a codec's priming and a packet or two.
_HIDDEN_S = Fraction(1, 5)
_MATROSKA_TICK_S = Fraction(1, 1000)
# Shorter holes between packets are rounding of times; a lost packet of any codec is longer.
_HOLE_S = 0.01


@dataclass(frozen=True)
class Sound:
    """The sound that goes to a video.

    Args:
        path: The file that holds it.
        stream: Which of the file's sounds it is.
        zero: The time on the file's clock that is the video's time 0, in seconds.
        offset: Seconds from the first video frame to the first audible sample; negative if the
            sound begins earlier.
        duration: Seconds from the first audible sample to the end of the last packet.
        lead: Seconds by which the first packet begins before the first audible sample; encoders
            put this priming there, and decoders take it away.
        is_encoded: Whether it is encoded although the container holds it: for a file whose copy
            was heard to be wrong.
    """

    path: Path
    stream: AudioStream
    zero: Fraction
    offset: Fraction
    duration: Fraction
    lead: Fraction
    is_encoded: bool = False

    def is_heard(self, times: FrameTimes) -> bool:
        """Whether any of it lies within a video's span."""
        return self.offset < times.duration and self.offset + self.duration > 0

    def is_cut(self, container: Container) -> bool:
        """Whether a part of it lies before the picture that the container cannot hide."""
        if container in ("mp4", "mov"):
            return self.offset - self.lead <= -_HIDDEN_S
        return self.offset <= -_MATROSKA_TICK_S

    def is_copied(self, container: Container) -> bool:
        """Whether its packets go into the container as they are.

        mp4 and mov hide a little before the first frame with an edit list, mkv and webm nothing;
        and where a codec's packet is left out, the next one decodes wrongly. Sound that is heard
        before the picture is cut there to the sample, and encoded.
        """
        is_held = holds(container, self.stream)
        return is_held and not self.is_encoded and not self.is_cut(container)

    def facts(self, container: Container) -> dict[str, Any]:
        """Return what the report tells of it."""
        is_copied = self.is_copied(container)
        return {
            "file": self.path.name,
            "stream": self.stream.index,
            "is": str(self.stream),
            "written": "copied" if is_copied else self.encoding(container).codec,
        }

    def encoding(self, container: Container) -> AudioEncoding:
        """Return how it is encoded where it is not copied."""
        return encoding(container, self.stream)


def driver_sound(path: Path, start: Fraction) -> Sound | None:
    """Return the first sound of a video that can be decoded, or None.

    Args:
        path: The video.
        start: The time of its first frame on its own clock, in seconds.
    """
    return _sound(path, start)


def file_sound(path: Path) -> Sound:
    """Return a file's sound, to be heard from its first sample on at the video's first frame.

    Raises:
        InputError: The file has no sound that can be decoded.
    """
    sound = _sound(path, None)
    if sound is None:
        raise no_sound(path)
    return sound


def no_sound(path: Path) -> InputError:
    """Return the error that tells of a file without sound, or with none that can be decoded."""
    known = audio_streams(path)
    codecs = f" that can be decoded here ({known[0].codec})" if known else ""
    return InputError(f"{path} has no sound{codecs}", hint="give another file to --audio, or none")


def _sound(path: Path, zero: Fraction | None) -> Sound | None:
    found = heard_stream(path)
    span = packet_span(path, found[0].index) if found is not None else None
    if found is None or span is None:
        return None
    stream, heard = found
    zero = heard if zero is None else zero
    return Sound(path, stream, zero, heard - zero, span.end - heard, heard - span.start)


def sound_notices(path: Path, container: Container) -> Iterator[str]:
    """Say, before any work, what will not be as in the file: another sound, or encoded anew.

    Raises:
        InputError: The file cannot be read.
    """
    streams = audio_streams(path)
    if not streams:
        return
    found = heard_stream(path)
    if found is None:
        yield f"no decoder here knows the sound of {path.name} ({streams[0]}): the video has none"
        return
    stream, _ = found
    for unknown in streams[: stream.index]:
        name = f"sound {unknown.index + 1} of {path.name} ({unknown})"
        yield f"no decoder here knows {name}: the next is taken"
    if not holds(container, stream):
        new = encoding(container, stream)
        yield f"{container} does not hold {stream} sound: it becomes {new.codec} {new.layout}"


def sound_output(sound: Sound, times: FrameTimes, container: Container) -> tuple[Any, Any]:
    """Return the sound's stream, shifted to the video's clock, and its output options.

    A copy keeps whole packets: its end is cut after the packet that reaches the video's end.
    What is encoded is cut to the sample at both ends.
    """
    if sound.is_copied(container):
        return _shifted(sound), {"c:a": "copy"}
    new = sound.encoding(container)
    stream = heard_between(sound, times.duration).filter("aformat", channel_layouts=new.layout)
    # Damaged packets are silent: that is no reason to lose a video at its very end.
    return stream, new.options | {"max_error_rate": 1}


def heard_between(sound: Sound, end: Fraction, **resampling: Any) -> Any:
    """Return the stream of what is heard from the video's time 0 to ``end``, to the sample.

    Silence fills what is missing at the start and in holes.
    """
    stream = _shifted(sound).filter("atrim", start=0, end=seconds_text(end))
    if sound.stream.blend:
        stream = stream.filter("pan", f"mono|c0<{sound.stream.blend}")
    filled = {"async": 1, "min_hard_comp": _HOLE_S, "first_pts": 0}
    return stream.filter("aresample", **filled, **resampling)


def _shifted(sound: Sound) -> Any:
    shift = {"itsoffset": seconds_text(-sound.zero), "copyts": None, "vn": None}
    return media_input(sound.path, **shift)[f"a:{sound.stream.index}"]
