"""What runs in a thread of its own, beside the nodes that do not wait for it."""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import NamedTuple, Self

from thvideo.pipeline import events
from thvideo.pipeline.plan import Step
from thvideo.stages.handover import Handover

#: How often a thread that waits looks for what the other has told.
_LOOK_EVERY_S = 0.1


class Parts(NamedTuple):
    """Steps, parted by what waits for what; each part in the order of the plan.

    Attributes:
        aside: What is made beside ``first``; empty where there is nothing to gain.
        first: What needs none of it.
        rest: What comes after both.
    """

    aside: Sequence[Step]
    first: Sequence[Step]
    rest: Sequence[Step]


def parts_of(steps: Sequence[Step]) -> Parts:
    """Part the steps of a plan into two that can be made side by side, and what needs both."""
    aside: list[Step] = []
    first: list[Step] = []
    rest: list[Step] = []
    for step in steps:
        needed = set(step.node.inputs.values())
        if rest:
            rest.append(step)
        elif step.node.is_aside and not needed - _ids(aside):
            aside.append(step)
        # A step of the same key waits for the artifact too.
        elif needed & _ids(aside) or step.key in {other.key for other in aside if other.key}:
            rest.append(step)
        else:
            first.append(step)
    if all(any(step.action == "run" for step in part) for part in (aside, first)):
        return Parts(aside, first, rest)
    return Parts((), (), steps)


def _ids(steps: Sequence[Step]) -> set[str]:
    return {step.node.id for step in steps}


class StoppedBesideError(Exception):
    """Ends a wait in the thread beside when nobody wants what it makes any more."""


class Beside:
    """Runs nodes in a thread of their own inside a ``with`` block; after it, they have ended.

    Args:
        name: The thread's.
        happenings: Makes the nodes while it is iterated; is given what to call while it waits
            for another process.
        handover: Where the node gives its frames, if another takes them.
    """

    def __init__(
        self,
        name: str,
        happenings: Callable[[Callable[[], None]], Generator[events.Event, None, None]],
        handover: Handover | None = None,
    ) -> None:
        self._handover = handover
        self._told: SimpleQueue[events.Event] = SimpleQueue()
        self._is_stopped = threading.Event()
        self._happenings = happenings(self._check_wanted)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

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
        if self._handover is not None:
            self._handover.leave()
        self._thread.join()

    def check(self) -> None:
        """Return if all is well until now: what the other thread calls while it waits.

        Raises:
            BaseException: What it failed with.
        """
        if self._error is not None:
            raise self._error

    def told(self) -> Iterator[events.Event]:
        """Yield what it has told and was not yielded yet."""
        while True:
            try:
                yield self._told.get_nowait()
            except Empty:
                return

    def told_well(self) -> Iterator[events.Event]:
        """Yield the same.

        Raises:
            BaseException: What it failed with, if it did.
        """
        yield from self.told()
        self.check()

    def until_it_begins(self) -> Iterator[events.Event]:
        """Yield what it tells until the taker may get ready, or nothing will ever come.

        Raises:
            BaseException: What it failed with.
        """
        assert self._handover is not None  # whoever waits for frames has said where they come
        while not self._handover.begun.wait(_LOOK_EVERY_S):
            yield from self.told()
        yield from self.told_well()

    def to_the_end(self) -> Iterator[events.Event]:
        """Yield what it tells until it is over.

        Raises:
            BaseException: What it failed with.
        """
        while self._thread.is_alive():
            yield from self.told()
            self._thread.join(_LOOK_EVERY_S)
        yield from self.told_well()

    def _check_wanted(self) -> None:
        if self._is_stopped.is_set():
            raise StoppedBesideError

    def _work(self) -> None:
        try:
            for event in self._happenings:
                self._told.put(event)
                if self._is_stopped.is_set():
                    break
        except BaseException as error:  # handed on to the thread that looks
            self._error = error
        finally:
            self._happenings.close()
            if self._handover is not None:
                self._handover.end(self._error)
