"""Frame times: exact fractions in, exact fractions out."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thvideo.video.timing import FrameTimes


def test_a_constant_rate_is_the_exact_fraction() -> None:
    times = FrameTimes.constant(Fraction(24000, 1001), 50)
    assert times.is_constant
    assert times.rate == Fraction(24000, 1001)
    assert times.duration == Fraction(50 * 1001, 24000)


def test_one_longer_frame_makes_the_rate_an_average() -> None:
    times = FrameTimes(np.array([0, 1, 3], np.int64), Fraction(1, 25), 1)
    assert not times.is_constant
    assert times.rate == Fraction(3 * 25, 4)


def test_a_longer_last_frame_is_not_a_constant_rate() -> None:
    assert not FrameTimes(np.array([0, 1], np.int64), Fraction(1, 25), 2).is_constant


def test_seconds_start_at_zero_wherever_the_file_starts() -> None:
    times = FrameTimes(np.array([90_000, 93_000], np.int64), Fraction(1, 90_000), 3000)
    assert times.seconds().tolist() == [0.0, 3000 / 90_000]
    assert times.start == 1


@given(
    steps=st.lists(st.integers(1, 10**6), min_size=1, max_size=30),
    numerator=st.integers(1, 1001),
    denominator=st.integers(1, 10**6),
)
def test_the_times_of_parts_are_those_of_the_whole(
    steps: list[int], numerator: int, denominator: int
) -> None:
    pts = np.cumsum(np.array(steps, np.int64))
    times = FrameTimes(pts, Fraction(numerator, denominator), 7)
    middle = len(steps) // 2
    whole = [times.at(i) for i in range(len(steps) + 1)]
    assert whole == sorted(whole)
    tail = times.part(middle, len(steps))
    assert [tail.at(i) + whole[middle] for i in range(tail.n_frames + 1)] == whole[middle:]


def test_saved_times_load_equal(tmp_path: Path) -> None:
    times = FrameTimes(np.array([-3, 5, 2**40], np.int64), Fraction(1001, 30000), 9)
    times.save(tmp_path / "times.npz")
    loaded = FrameTimes.load(tmp_path / "times.npz")
    assert loaded.pts.tolist() == times.pts.tolist()
    assert (loaded.time_base, loaded.last_duration) == (times.time_base, times.last_duration)


@pytest.mark.parametrize("pts", [[], [0, 0], [1, 0]])
def test_times_that_do_not_increase_are_refused(pts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"increasing|at least one"):
        FrameTimes(np.array(pts, np.int64), Fraction(1, 25), 1)
