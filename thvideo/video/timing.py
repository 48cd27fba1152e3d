"""Exact frame times: whole ticks of a time base, never floating-point seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from thvideo.shapes import F64Array, I64Array


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When every frame of a video is shown.

    Args:
        pts: Ticks of ``time_base`` ``[T]``, strictly increasing, as the file counts them.
        time_base: Seconds of one tick.
        last_duration: Ticks for which the last frame is shown.

    Raises:
        ValueError: No frame, times that do not increase, or a duration below one tick.
    """

    pts: I64Array
    time_base: Fraction
    last_duration: int

    def __post_init__(self) -> None:
        if self.pts.ndim != 1 or self.pts.size == 0:
            raise ValueError(f"expected times [T] of at least one frame, got {self.pts.shape}")
        if self.pts.dtype != np.int64 or (np.diff(self.pts) <= 0).any():
            raise ValueError("frame times must be int64 and strictly increasing")
        if self.time_base <= 0 or self.last_duration < 1:
            raise ValueError("the time base and the last frame's duration must be positive")

    @property
    def n_frames(self) -> int:
        """The number of frames T."""
        return int(self.pts.size)

    @property
    def start(self) -> Fraction:
        """The first frame's time in the file, in seconds."""
        return int(self.pts[0]) * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's appearance to the last one's end, exactly."""
        ticks = int(self.pts[-1]) - int(self.pts[0]) + self.last_duration
        return ticks * self.time_base

    @property
    def duration_s(self) -> float:
        """``duration`` as a float."""
        return float(self.duration)

    @property
    def is_constant(self) -> bool:
        """Whether all frames, the last one too, last equally long to the tick."""
        durations = self.durations()
        return bool((durations == durations[0]).all())

    @property
    def rate(self) -> Fraction:
        """Frames per second: exact if the rate is constant, else the average."""
        return self.n_frames / self.duration

    def durations(self) -> I64Array:
        """Return how many ticks each frame is shown ``[T]``."""
        return np.append(np.diff(self.pts), np.int64(self.last_duration))

    def seconds(self) -> F64Array:
        """Return the frames' times in seconds ``[T]``; the first is 0."""
        ticks = (self.pts - self.pts[0]).astype(np.float64)
        return np.asarray(ticks * self.time_base.numerator / self.time_base.denominator)

    def at(self, index: int) -> Fraction:
        """Return the exact time in seconds at which frame ``index`` appears after frame 0.

        ``index == n_frames`` gives the end of the last frame.
        """
        if index == self.n_frames:
            return self.duration
        return (int(self.pts[index]) - int(self.pts[0])) * self.time_base

    def part(self, start: int, stop: int) -> "FrameTimes":
        """Return the times of frames ``start .. stop - 1``, as they are within the whole."""
        durations = self.durations()
        return FrameTimes(self.pts[start:stop].copy(), self.time_base, int(durations[stop - 1]))

    def save(self, path: Path) -> None:
        """Write the times as npz, whatever the suffix of ``path``."""
        base = np.array([self.time_base.numerator, self.time_base.denominator], np.int64)
        with path.open("wb") as file:
            np.savez(file, pts=self.pts, time_base=base, last_duration=self.last_duration)

    @staticmethod
    def load(path: Path) -> "FrameTimes":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as data:
            base = Fraction(int(data["time_base"][0]), int(data["time_base"][1]))
            return FrameTimes(data["pts"].astype(np.int64), base, int(data["last_duration"]))

    @staticmethod
    def constant(rate: Fraction, n_frames: int) -> "FrameTimes":
        """Return ``n_frames`` times at a constant rate, one numerator of the rate as the tick."""
        pts = np.arange(n_frames, dtype=np.int64) * rate.denominator
        return FrameTimes(pts, Fraction(1, rate.numerator), rate.denominator)

    @staticmethod
    def of_durations_ms(durations_ms: Sequence[float]) -> "FrameTimes":
        """Return the times of frames that are shown for so long each; roundings do not add up."""
        ends = np.rint(np.cumsum(durations_ms) * 1000).astype(np.int64)
        pts = np.append(np.int64(0), ends[:-1])
        return FrameTimes(pts, Fraction(1, 1_000_000), int(ends[-1] - pts[-1]))
