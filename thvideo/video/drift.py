"""Measure, from a finished file, how far picture and sound are from where they should be."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from thvideo.shapes import I64Array
from thvideo.video.audio import Sound
from thvideo.video.ffmpeg import arguments, media_input, running
from thvideo.video.probe import probe_audio
from thvideo.video.timing import FrameTimes

# Copied packets are looked for this near to where they should be.
_NEAR_S = 0.5


@dataclass(frozen=True)
class Drift:
    """What ``measure_drift`` found; times in milliseconds, positive is late.

    Args:
        n_frames_in: Frames of the driver.
        n_frames_out: Frames of the file.
        max_time_error_ms: The largest error of a frame's time.
        end_drift_ms: The error of the last frame's end.
        sound_offset_ms: The error of the sound's time at its first sample; None without sound.
        sound_end_drift_ms: The error of the sound's time at its last sample; None without sound.
    """

    n_frames_in: int
    n_frames_out: int
    max_time_error_ms: float
    end_drift_ms: float
    sound_offset_ms: float | None
    sound_end_drift_ms: float | None


@dataclass(frozen=True)
class _Packets:
    """Packets or decoded blocks of one stream: pts and durations [N], checksums [N]."""

    time_base: Fraction
    pts: I64Array
    durations: I64Array
    checksums: I64Array

    def time_s(self, index: int) -> float:
        return float(int(self.pts[index]) * self.time_base)

    def end_s(self) -> float:
        return float((int(self.pts[-1]) + int(self.durations[-1])) * self.time_base)


def measure_drift(out: Path, times: FrameTimes, sound: Sound | None) -> Drift:
    """Read the file back and compare it with the driver's times and the sound it was given.

    Copied sound is recognised by its packets' checksums, so its error is that of each packet
    against the original's time. Encoded sound is decoded: first time and number of samples tell.

    Args:
        out: The finished file.
        times: The driver's times.
        sound: The sound given to ``join``.
    """
    video = _read(out, "V:0", {"c:v": "copy"})
    assert video is not None  # every file that join() writes has a picture
    zero_s = video.time_s(0)
    n = min(len(video.pts), times.n_frames)
    tick = video.time_base.numerator / video.time_base.denominator
    shown_s = (video.pts[:n] - video.pts[0]).astype(np.float64) * tick
    errors = np.abs(shown_s - times.seconds()[:n])
    offset, end = _sound_errors(out, times, sound, zero_s) if sound is not None else (None, None)
    return Drift(
        n_frames_in=times.n_frames,
        n_frames_out=len(video.pts),
        max_time_error_ms=float(errors.max()) * 1000,
        end_drift_ms=(video.end_s() - zero_s - times.duration_s) * 1000,
        sound_offset_ms=offset,
        sound_end_drift_ms=end,
    )


def _sound_errors(
    out: Path, times: FrameTimes, sound: Sound, zero_s: float
) -> tuple[float | None, float | None]:
    written = _read(out, "a:0", {"c:a": "copy"})
    if written is None:
        return None, None
    written_codec = probe_audio(out)
    if written_codec is not None and written_codec.codec == sound.codec:
        original = _read(sound.path, "a:0", {"c:a": "copy"})
        if original is not None:
            return _copy_errors(written, original, zero_s, float(sound.zero))
    decoded = _read(out, "a:0", {"c:a": "pcm_s16le"})
    if decoded is None:
        return None, None
    # What is encoded begins with the picture: silence fills the time before the sound.
    end = min(times.duration_s, float(sound.offset + sound.duration))
    first = decoded.time_s(0) - zero_s
    n_seconds = float(int(decoded.durations.sum()) * decoded.time_base)
    return first * 1000, (first + n_seconds - end) * 1000


def _copy_errors(
    written: _Packets, original: _Packets, zero_s: float, sound_zero_s: float
) -> tuple[float, float]:
    """Return by how many milliseconds the first and the last packet moved."""
    found = _align(written, original, sound_zero_s - zero_s)
    errors = []
    for index in (0, len(written.pts) - 1):
        wanted_s = written.time_s(index) - zero_s + sound_zero_s
        if found is not None:
            source = found + index
        else:
            # The container packs the same sound otherwise (ADTS): the nearest packet is meant.
            tick = float(original.time_base)
            source = int(np.abs(original.pts * tick - wanted_s).argmin())
        errors.append((wanted_s - original.time_s(source)) * 1000)
    return errors[0], errors[1]


def _align(written: _Packets, original: _Packets, shift_s: float) -> int | None:
    """Return which original packet the first written one is, or None if it is none of them."""
    n = len(written.pts)
    base = original.time_base
    distance = np.abs(original.pts * float(base) - shift_s - written.time_s(0))
    candidates = np.flatnonzero((distance < _NEAR_S) & (original.checksums == written.checksums[0]))
    for candidate in sorted(candidates, key=lambda index: distance[index]):
        same = original.checksums[candidate : candidate + n]
        if len(same) == n and (same == written.checksums).all():
            return int(candidate)
    return None


def _read(path: Path, stream: str, codec: dict[str, str]) -> _Packets | None:
    """List a stream's packets (or what they decode to); None if there is no such stream."""
    output = media_input(path, copyts=None)[f"{stream}?"]
    rows = []
    base = None
    with running(
        arguments(output.output("pipe:1", format="framecrc", **codec)), reads=True
    ) as child:
        for line in cast("Iterator[bytes]", child.process.stdout):
            header = re.match(rb"#tb 0: (\d+)/(\d+)", line)
            if header:
                base = Fraction(int(header[1]), int(header[2]))
            elif line[:1] != b"#":
                fields = line.split(b",")
                rows.append((int(fields[2]), int(fields[3]), int(fields[5], 16)))
        child.process.wait()
    if base is None or not rows:
        return None
    table = np.array(rows, np.int64)
    return _Packets(base, table[:, 0], table[:, 1], table[:, 2])
