"""Feeding a consumer beside, and making batches ahead of one."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from thvideo.shapes import U8Array
from thvideo.stages.streaming import ahead, chunk_bounds, fed


def batches(n_batches: int, size: int = 3) -> Generator[U8Array, None, None]:
    for index in range(n_batches):
        yield np.full((size, 1, 1, 3), index, np.uint8)


def test_chunks_cover_every_frame_once() -> None:
    assert chunk_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert chunk_bounds(8, 4) == [(0, 4), (4, 8)]
    assert chunk_bounds(1, 250) == [(0, 1)]


def test_every_batch_arrives_in_order_before_the_end() -> None:
    seen: list[int] = []

    def consume(arriving: Iterator[U8Array]) -> None:
        for batch in arriving:
            time.sleep(0.001)
            seen.append(int(batch[0, 0, 0, 0]))

    assert list(fed(consume, batches(20))) == list(range(3, 61, 3))
    assert seen == list(range(20))


def test_a_failure_of_the_consumer_ends_the_feeding_with_its_own_error() -> None:
    def consume(arriving: Iterator[U8Array]) -> None:
        next(arriving)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        list(fed(consume, batches(1000)))


def test_a_failure_while_making_batches_stops_the_consumer() -> None:
    ended = threading.Event()

    def consume(arriving: Iterator[U8Array]) -> None:
        try:
            for _ in arriving:
                pass
        finally:
            ended.set()

    def failing() -> Iterator[U8Array]:
        yield from batches(2)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(fed(consume, failing()))
    assert ended.is_set()


def test_whoever_stops_listening_stops_the_consumer_before_it_is_done() -> None:
    outcome: list[str] = []

    def consume(arriving: Iterator[U8Array]) -> None:
        try:
            for _ in arriving:
                pass
            outcome.append("finished")
        except BaseException:
            outcome.append("abandoned")
            raise

    feeding = fed(consume, batches(1000))
    next(feeding)
    feeding.close()  # type: ignore[attr-defined]
    assert outcome == ["abandoned"]


def test_one_batch_is_made_while_the_one_before_is_used() -> None:
    n_made = 0
    second, third = threading.Event(), threading.Event()

    def making() -> Generator[U8Array, None, None]:
        nonlocal n_made
        for batch in batches(5):
            n_made += 1
            {2: second, 3: third}.get(n_made, threading.Event()).set()
            yield batch

    using = ahead(making())
    first = next(using)
    assert second.wait(20)
    # One ahead and no more, however long the first is in use.
    assert not third.wait(0.05)
    assert [int(batch[0, 0, 0, 0]) for batch in [first, *using]] == list(range(5))
    assert n_made == 5


def test_a_failure_to_make_a_batch_comes_after_those_before_it() -> None:
    def failing() -> Generator[U8Array, None, None]:
        yield from batches(2)
        raise ValueError("no more")

    using = ahead(failing())
    assert [int(next(using)[0, 0, 0, 0]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="no more"):
        next(using)


def test_whoever_uses_no_more_closes_what_makes_them() -> None:
    ended = threading.Event()

    def making() -> Generator[U8Array, None, None]:
        try:
            yield from batches(1000)
        finally:
            ended.set()

    using = ahead(making())
    next(using)
    using.close()
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_stop_while_the_thread_begins_waits_for_the_batch_that_it_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    makes = threading.Event()

    class Stopped(ThreadPoolExecutor):
        def submit(self, work: Callable[..., Any], *given: Any) -> Any:  # type: ignore[override]
            # A signal while the pool waits for its new thread: the pool does not know of it yet.
            threading.Thread(target=work, args=given).start()
            makes.wait(10)
            raise KeyboardInterrupt

    def making() -> Generator[U8Array, None, None]:
        makes.set()
        time.sleep(0.2)
        yield from batches(1)

    monkeypatch.setattr("thvideo.stages.streaming.ThreadPoolExecutor", Stopped)
    with pytest.raises(KeyboardInterrupt):
        next(ahead(making()))
