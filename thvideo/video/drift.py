"""Measure, from a finished file, how far picture and sound are from where they should be."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from thvideo.shapes import F64Array, I64Array
from thvideo.video.audio import Sound, driver_sound
from thvideo.video.envelope import SoundErrors, compare_envelopes, envelope
from thvideo.video.ffmpeg import arguments, media_input, running
from thvideo.video.timing import FrameTimes

# From here on it is heard: lips and voice are apart, or a syllable is gone.
_HEARD_SHIFT_MS, _HEARD_GAP_MS = 20, 50


@dataclass(frozen=True)
class Drift:
    """What ``measure_drift`` found; times in milliseconds, positive is late.

    Args:
        n_frames_in: Frames of the driver.
        n_frames_out: Frames of the file.
        max_time_error_ms: The largest error of a frame's time.
        end_drift_ms: The error of the last frame's end.
        sound_offset_ms: How late the sound's beginning is heard; None without sound.
        sound_end_drift_ms: How late its end is heard; None without sound.
        sound_shift_ms: How late the piece is heard that is farthest from its place.
        sound_missing_ms: How long nothing is heard where the given sound has something.
    """

    n_frames_in: int
    n_frames_out: int
    max_time_error_ms: float
    end_drift_ms: float
    sound_offset_ms: float | None
    sound_end_drift_ms: float | None
    sound_shift_ms: float | None
    sound_missing_ms: float | None

    @property
    def sound_fault(self) -> str:
        """What is heard to be wrong with the sound, in words; "" if nothing is."""
        if (self.sound_missing_ms or 0) > _HEARD_GAP_MS:
            return f"{(self.sound_missing_ms or 0) / 1000:.2f} s of the sound are missing"
        if abs(self.sound_shift_ms or 0) > _HEARD_SHIFT_MS:
            return f"the sound is up to {self.sound_shift_ms:.0f} ms late"
        return ""


@dataclass(frozen=True)
class Shown:
    """When a finished file's frames are shown: unlike a driver's times, whatever they are.

    Args:
        pts: Ticks of ``time_base`` ``[T]``.
        time_base: Seconds of one tick.
        last_duration: Ticks for which the last frame is shown.
    """

    pts: I64Array
    time_base: Fraction
    last_duration: int

    @property
    def start(self) -> Fraction:
        """The first frame's time in the file, in seconds."""
        return int(self.pts[0]) * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's appearance to the last one's end."""
        return (int(self.pts[-1]) + self.last_duration) * self.time_base - self.start

    def seconds(self) -> F64Array:
        """Return the frames' times in seconds ``[T]``; the first is 0."""
        ticks = (self.pts - self.pts[0]).astype(np.float64)
        return np.asarray(ticks * self.time_base.numerator / self.time_base.denominator)


def measure_drift(out: Path, times: FrameTimes, sound: Sound | None) -> Drift:
    """Read the file back and compare it with the driver's times and the sound it was given.

    Sound is compared by ear, not by its stamps: both files are decoded, and where the one is loud
    the other has to be.

    Args:
        out: The finished file.
        times: The driver's times.
        sound: The sound given to ``join``.
    """
    shown = read_shown(out)
    n = min(len(shown.pts), times.n_frames)
    errors = np.abs(shown.seconds()[:n] - times.seconds()[:n])
    heard = _sound_errors(out, shown.start, times, sound) if sound is not None else None
    return Drift(
        n_frames_in=times.n_frames,
        n_frames_out=len(shown.pts),
        max_time_error_ms=float(errors.max()) * 1000,
        end_drift_ms=float(shown.duration - times.duration) * 1000,
        sound_offset_ms=heard.offset_ms if heard else None,
        sound_end_drift_ms=heard.end_ms if heard else None,
        sound_shift_ms=heard.shift_ms if heard else None,
        sound_missing_ms=heard.missing_ms if heard else None,
    )


def _sound_errors(
    out: Path, start: Fraction, times: FrameTimes, sound: Sound
) -> SoundErrors | None:
    wanted = envelope(sound, times.duration)
    written = driver_sound(out, start)
    found = np.zeros_like(wanted) if written is None else envelope(written, times.duration)
    return compare_envelopes(wanted, found)


def read_shown(path: Path) -> Shown:
    """Read when a finished file's frames are shown, from its packets, without decoding."""
    pts, durations, base = [], [], Fraction(1)
    stream = media_input(path, copyts=None)["V:0"]
    args = arguments(stream.output("pipe:1", format="framecrc", **{"c:v": "copy"}))
    with running(args, reads=True) as child:
        for line in cast("Iterator[bytes]", child.process.stdout):
            header = re.match(rb"#tb 0: (\d+)/(\d+)", line)
            if header:
                base = Fraction(int(header[1]), int(header[2]))
            elif line[:1] != b"#":
                fields = line.split(b",")
                pts.append(int(fields[2]))
                durations.append(int(fields[3]))
        child.process.wait()
    return Shown(np.array(pts, np.int64), base, durations[-1])
