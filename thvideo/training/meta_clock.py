"""When something is due in a run, and what its steps were like on average."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from thvideo.training.meta_options import Budget

#: A line of the log is made of so many steps, or so many seconds.
_LOG_STEPS, _LOG_S = 20, 15.0


class Due(NamedTuple):
    """What is to be done after a step."""

    save: bool = False
    validate: bool = False
    keep: bool = False
    end: bool = False
    stop: bool = False


NOTHING = Due()


class Clock:
    """Knows when something is due.

    Args:
        budget: How often, and when the run ends.

    Attributes:
        is_stopped: Whether somebody asked to stop.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        now = time.monotonic()
        self._started = now
        self._last = {"save": now, "validate": now, "keep": now}
        self._is_ended = self.is_stopped = False

    @property
    def seconds(self) -> float:
        """Since the run was called."""
        return time.monotonic() - self._started

    def due(self, step: int) -> Due:
        """Return what is due after a step."""
        now = time.monotonic()
        often = {name: getattr(self._budget, name) for name in self._last}
        due = {n: every.is_due(step, now - self._last[n]) for n, every in often.items()}
        return Due(**due, end=0 < self._budget.seconds < now - self._started)

    def note(self, due: Due) -> None:
        """Note what all processes agreed to do now."""
        for name in self._last:
            if getattr(due, name):
                self._last[name] = time.monotonic()
        self.is_stopped = self.is_stopped or due.stop
        self._is_ended = self._is_ended or due.end or due.stop

    def is_over(self, step: int) -> bool:
        """Whether the run has come to its end."""
        return self._is_ended or 0 < self._budget.steps <= step


class Stretch:
    """Steps that become one line of the log.

    Attributes:
        n_steps: How many there are so far.
        seconds: What they took, without what was done between them.
        wrong: Which value is no number, in words; empty if all are.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self.n_steps, self.seconds, self.wrong = 0, 0.0, ""
        self.go_on()

    @property
    def is_full(self) -> bool:
        """Whether it is time for a line."""
        return self.n_steps >= _LOG_STEPS or self.seconds > _LOG_S

    def go_on(self) -> None:
        """Note that the next step begins."""
        self._began = time.monotonic()

    def add(self, values: Mapping[str, float]) -> None:
        """Take in a step that is done."""
        self.n_steps += 1
        self.seconds += time.monotonic() - self._began
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
            if not abs(value) < float("inf"):
                self.wrong = f"{name} is {value}"

    def means(self) -> dict[str, float]:
        """Return the means of all values."""
        return {name: sum(found) / len(found) for name, found in self._values.items()}
