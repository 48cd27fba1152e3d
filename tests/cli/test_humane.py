"""Numbers are written as a person reads them."""

import pytest

from thvideo.cli import humane


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_a_length_of_time_has_two_parts_at_most(seconds: float, text: str) -> None:
    assert humane.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (8.2, "0:09"), (61, "1:01"), (3725, "1:02:05")]
)
def test_time_left_is_a_clock(seconds: float, text: str) -> None:
    assert humane.clock(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9960, "10 kB"),
        (4_200_000, "4.2 MB"),
        (318e9, "318 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_a_size_has_decimal_units(n_bytes: float, text: str) -> None:
    assert humane.size(n_bytes) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "frames", "1 frame"), (0, "frames", "0 frames"), (12400, "frames", "12 400 frames")],
)
def test_a_count_agrees_with_its_noun(number: int, noun: str, text: str) -> None:
    assert humane.count(number, noun) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.4167, "0.42 frames/s"), (7.12, "7.1 frames/s"), (240.4, "240 frames/s")]
)
def test_a_speed_keeps_two_digits_that_matter(value: float, text: str) -> None:
    assert humane.rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (330, "5 min ago"), (7300, "2 h ago"), (90000, "1 day ago")],
)
def test_an_age_is_one_number(seconds: float, text: str) -> None:
    assert humane.age(seconds) == text
