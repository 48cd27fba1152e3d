"""Frames on their way from the stage that makes them to the one that uses them beside it."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from thvideo.shapes import U8Array

#: Parts that wait at most: the maker then waits too, so that memory stays bounded.
_AHEAD = 2


class _Part(NamedTuple):
    """Frames ``start .. stop - 1``, in batches that may be read only when they are wanted."""

    start: int
    stop: int
    batches: Iterable[U8Array]


class Handover:
    """A short queue between two threads, in the order of the frames.

    One thread gives every frame of the video and ends; another takes those that it wants and
    leaves. Neither waits for one that has gone.

    Args:
        key: Of the artifact that will hold the frames.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self._changed = threading.Condition()
        self._parts: deque[_Part] = deque()
        self._is_ended = self._has_left = self._is_reading = False
        self._error: BaseException | None = None
        self.begun = threading.Event()

    def begin(self) -> None:
        """Say that frames will come unless something fails: whoever takes them may get ready."""
        self.begun.set()

    def give(self, start: int, stop: int, batches: Iterable[U8Array]) -> None:
        """Hand over frames ``start .. stop - 1``; waits while as many as may wait are waiting.

        Args:
            start: The first frame; the one after the last that was given.
            stop: The frame after the last one.
            batches: ``[B, H, W, 3]`` each; iterated by the taker, and only if it wants them.
        """
        self.begin()
        with self._changed:
            self._changed.wait_for(lambda: self._has_left or len(self._parts) < _AHEAD)
            if not self._has_left:
                self._parts.append(_Part(start, stop, batches))
                self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more will come, and why if something went wrong."""
        with self._changed:
            self._is_ended, self._error = True, error
            self.begun.set()
            self._changed.notify_all()

    def take(self, start: int, stop: int) -> Iterator[U8Array]:
        """Yield the batches of frames ``start .. stop - 1`` as they come.

        Frames before ``start`` are left out. No part that was given may reach across either end.

        Raises:
            BaseException: What the giving side failed with; frames before it are yielded.
        """
        reached = start
        while reached < stop:
            part = self._next()
            if part is None:
                return
            if part.start >= start:
                yield from part.batches
            reached = part.stop
            self._is_reading = False

    def leave(self) -> None:
        """Say that no more is wanted."""
        with self._changed:
            self._has_left = True
            self._is_reading = False
            self._parts.clear()
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether all was given without a failure, and all that is wanted is taken."""
        with self._changed:
            is_whole = self._is_ended and self._error is None
            return is_whole and not self._parts and not self._is_reading

    def _next(self) -> _Part | None:
        with self._changed:
            self._changed.wait_for(lambda: self._parts or self._is_ended)
            if not self._parts:
                if self._error is not None:
                    raise self._error
                return None
            part = self._parts.popleft()
            self._is_reading = True
            self._changed.notify_all()
            return part
