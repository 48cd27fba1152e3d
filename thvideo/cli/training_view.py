"""A run of training as it goes on: a line at the bottom of a terminal, plain lines, or JSON."""

import dataclasses
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from thvideo.cli.console import is_terminal, one_line, say, tell
from thvideo.cli.humane import clock, rate
from thvideo.cli.render import as_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from thvideo.training.meta_events import MetaEvent, Trained
    from thvideo.training.meta_options import Budget


class TrainingView(Protocol):
    """Shows what happens."""

    def show(self, event: "MetaEvent") -> None:
        """Show one event."""
        ...


@contextmanager
def training_view(budget: "Budget", *, is_json: bool, is_silent: bool) -> Iterator[TrainingView]:
    """Choose how training is drawn.

    Args:
        budget: Tells how much is left.
        is_json: Draw each event as a line of JSON.
        is_silent: Draw nothing.
    """
    if is_silent:
        yield _Silent()
    elif is_json:
        yield _JsonLines()
    elif not is_terminal(sys.stderr):
        yield _Lines(_Left(budget))
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True, highlight=False)
        step, text = TextColumn("{task.description}"), TextColumn("{task.fields[text]}")
        with Progress(
            step, BarColumn(bar_width=20), text, console=console, transient=True
        ) as progress:
            yield _Bar(_Left(budget), progress, console)


class _Silent:
    def show(self, event: "MetaEvent") -> None:
        pass


class _JsonLines:
    def show(self, event: "MetaEvent") -> None:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", type(event).__name__).lower()
        say(as_json({"event": name} | dataclasses.asdict(event)))


class _Left:
    """How much of a run is done, and how long the rest takes."""

    def __init__(self, budget: "Budget") -> None:
        self._budget = budget
        self._began: tuple[float, int] | None = None

    def begin(self, step: int) -> None:
        """Note the step from which the run goes on."""
        self._began = time.monotonic(), step

    def share_and_seconds(self, step: int) -> tuple[float, float]:
        """Return the share that is done, 0 to 1, and the seconds that are left."""
        began, first = self._began or (time.monotonic(), step)
        passed_s = time.monotonic() - began
        left = []
        if self._budget.seconds:
            left.append(max(0.0, self._budget.seconds - passed_s))
        if self._budget.steps and step > first:
            left.append((self._budget.steps - step) * passed_s / (step - first))
        seconds = min(left, default=0.0)
        return passed_s / max(passed_s + seconds, 1e-6), seconds


class _Lines:
    def __init__(self, left: _Left) -> None:
        self._left = left

    def show(self, event: "MetaEvent") -> None:
        if type(event).__name__ == "Started":
            self._left.begin(event.step)
        line = _line(event, self._left)
        if line is not None:
            tell(*line, "yellow" if line[0] == "note" else "")


class _Bar:
    def __init__(self, left: _Left, progress: "Progress", console: "Console") -> None:
        self._left, self._progress, self._console = left, progress, console
        self._task = progress.add_task("step 0", total=1.0, text="")

    def show(self, event: "MetaEvent") -> None:
        kind = type(event).__name__
        if kind == "Started":
            self._left.begin(event.step)
        line = _line(event, self._left)
        if line is None:
            return
        if kind == "Trained":
            share, _ = self._left.share_and_seconds(event.step)
            text = one_line(line[1])
            self._progress.update(self._task, description=line[0], completed=share, text=text)
            return
        self._console.print(f"{line[0]}: {one_line(line[1])}", markup=False, soft_wrap=True)


def _line(event: "MetaEvent", left: _Left) -> tuple[str, str] | None:
    """Return label and text of an event that is worth a line."""
    from thvideo.training import meta_events as happened

    match event:
        case happened.Started():
            pictures = f" and {event.n_pictures} pictures" if event.n_pictures else ""
            clips = f"{event.n_clips} clips of {event.n_people} people{pictures}"
            return "train", f"{clips}, step {event.step}"
        case happened.Trained():
            return f"step {event.step}", _trained(event, left)
        case happened.Validated():
            mark = " (best)" if event.is_best else ""
            return f"step {event.step}", f"validation{mark}: {_numbers(event.values)}"
        case happened.RolledBack():
            return "note", f"went wrong at {event.reason}; back to step {event.step}, at half speed"
        case happened.Saved() if event.folder.name.startswith("step-"):
            return f"step {event.step}", f"kept as {event.folder}"
    return None


def _trained(event: "Trained", left: _Left) -> str:
    _, seconds = left.share_and_seconds(event.step)
    speed = rate(event.samples_per_s, "samples")
    return f"{clock(seconds)} left, {event.size_px} px, {speed}, {_numbers(event.values)}"


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())
