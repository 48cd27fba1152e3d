"""A node that runs in a thread of its own, beside the one that takes its frames."""

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from thvideo.pipeline import events
from thvideo.pipeline.making import Making
from thvideo.stages.handover import Handover

#: How often a thread that waits looks for what the other has told.
_LOOK_EVERY_S = 0.1


class Beside:
    """Runs a node in a thread of its own inside a ``with`` block; after it, it has ended.

    Args:
        making: What runs; it gives its frames.
        handover: Where it gives them.
    """

    def __init__(self, making: Making, handover: Handover) -> None:
        self._making, self._handover = making, handover
        self._told: SimpleQueue[events.Event] = SimpleQueue()
        self._is_stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=making.step.node.id, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop at its next event, unless it has ended."""
        self._is_stopped.set()
        self._handover.leave()
        self._thread.join()

    def told(self) -> Iterator[events.Event]:
        """Yield what it has told and was not yielded yet."""
        while True:
            try:
                yield self._told.get_nowait()
            except Empty:
                return

    def until_it_gives(self) -> Iterator[events.Event]:
        """Yield what it tells until there is something to take, or nothing ever will be.

        Raises:
            BaseException: What it failed with.
        """
        while not self._handover.begun.wait(_LOOK_EVERY_S):
            yield from self.told()
        yield from self._last_told()

    def to_the_end(self) -> Iterator[events.Event]:
        """Yield what it tells until it is over.

        Raises:
            BaseException: What it failed with.
        """
        while self._thread.is_alive():
            yield from self.told()
            self._thread.join(_LOOK_EVERY_S)
        yield from self._last_told()

    def _last_told(self) -> Iterator[events.Event]:
        yield from self.told()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        happenings = self._making.run()
        try:
            for event in happenings:
                self._told.put(event)
                if self._is_stopped.is_set():
                    break
        except BaseException as error:  # handed on to the thread that takes the frames
            self._error = error
        finally:
            happenings.close()
            self._handover.end(self._error)
