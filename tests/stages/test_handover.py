"""Frames go from one thread to another in order, a few at a time, and neither is left waiting."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from thvideo.shapes import U8Array
from thvideo.stages.handover import _AHEAD, Handover

PART = 3


def frames(start: int, stop: int) -> U8Array:
    return np.arange(start, stop, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)


def numbers(batches: Iterator[U8Array]) -> list[int]:
    return [int(number) for batch in batches for number in batch[:, 0, 0, 0]]


def giving(
    handover: Handover, n_parts: int, error: BaseException | None = None
) -> Callable[[], None]:
    """Give parts in a thread; return what waits for its end."""

    def work() -> None:
        for start in range(0, n_parts * PART, PART):
            handover.give(start, start + PART, [frames(start, start + PART)])
        handover.end(error)

    thread = threading.Thread(target=work)
    thread.start()

    def ended() -> None:
        thread.join(20)
        assert not thread.is_alive()

    return ended


def test_every_frame_arrives_once_and_in_order() -> None:
    handover = Handover("key")
    ended = giving(handover, 20)
    assert numbers(handover.take(0, 30)) == list(range(30))
    assert numbers(handover.take(30, 60)) == list(range(30, 60))
    ended()
    assert handover.is_over


def test_whoever_takes_may_get_ready_before_the_first_frame() -> None:
    handover = Handover("key")
    assert not handover.begun.is_set()
    handover.begin()
    assert handover.begun.is_set()
    giving(handover, 1)()
    assert numbers(handover.take(0, 3)) == [0, 1, 2]


def test_the_maker_is_never_more_than_a_few_parts_ahead() -> None:
    handover, given = Handover("key"), []

    def work() -> None:
        for start in range(0, 60, PART):
            handover.give(start, start + PART, [frames(start, start + PART)])
            given.append(start + PART)
        handover.end()

    thread = threading.Thread(target=work)
    thread.start()
    for taken, _ in enumerate(handover.take(0, 60), start=1):
        # Those that wait, the one that is taken, and the one that the maker holds.
        assert len(given) <= taken + _AHEAD + 1
    thread.join(20)
    assert len(given) == taken == 20


def test_frames_that_are_not_wanted_are_not_even_read() -> None:
    def never() -> Iterator[U8Array]:
        raise AssertionError("these frames were made before")
        yield

    handover = Handover("key")
    handover.give(0, 3, never())
    handover.give(3, 6, [frames(3, 5), frames(5, 6)])
    assert numbers(handover.take(3, 6)) == [3, 4, 5]


def test_a_maker_whose_frames_nobody_wants_any_more_goes_on_to_its_end() -> None:
    handover = Handover("key")
    ended = giving(handover, 20)
    next(handover.take(0, 60))
    handover.leave()
    ended()
    assert handover.is_over


def test_the_failure_of_the_maker_comes_after_the_frames_before_it() -> None:
    handover, seen = Handover("key"), []
    ended = giving(handover, 2, OSError("the disk is full"))
    with pytest.raises(OSError, match="the disk is full"):
        seen.extend(len(batch) for batch in handover.take(0, 9))
    ended()
    assert seen == [3, 3]
    assert not handover.is_over


def test_it_is_not_over_while_the_last_frames_are_read() -> None:
    handover = Handover("key")
    giving(handover, 1)()
    taking = handover.take(0, 3)
    next(taking)
    assert not handover.is_over
    assert list(taking) == []
    assert handover.is_over
