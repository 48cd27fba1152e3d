"""Draw a run's events: live on a terminal, a line a stage elsewhere, JSON lines, or not at all."""

import json
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, Protocol, cast

from thvideo.cli.console import is_terminal, one_line, say, tell
from thvideo.cli.humane import count, duration, rate
from thvideo.cli.options import Given
from thvideo.cli.summary import summary_lines
from thvideo.errors import ThvideoError
from thvideo.pipeline import events
from thvideo.pipeline.events import Event
from thvideo.stages.base import Progress, StageEvent


class View(Protocol):
    """Shows events to whoever reads the output."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def failed(self, error: ThvideoError) -> None:
        """Tell that the run ends with an error; the boundary explains it on stderr."""
        ...


def view_of(given: Given) -> AbstractContextManager[View]:
    """Choose how a run is drawn, by the options and by who reads."""
    if given.flag("json"):
        return nullcontext(JsonView())
    if given.flag("quiet"):
        return nullcontext(QuietView())
    if is_terminal(sys.stderr):
        from thvideo.cli.live import LiveView

        return LiveView()
    return nullcontext(PlainView())


def show_work(view: View, name: str, what: str, work: Iterator[StageEvent]) -> None:
    """Show work that is no part of a graph as a run of one node, to its end.

    Args:
        view: Shows it.
        name: The node's.
        what: From what to what, for the person.
        work: Does the work and yields what happens.

    Raises:
        ThvideoError: The work failed; the view knows.
    """
    started_s = time.monotonic()
    view.show(events.RunStarted((name,), (name,)))
    view.show(events.NodeStarted(name, name, what))
    try:
        # Closed at once on an error, so that workers end before the explanation.
        with closing(cast("Generator[StageEvent, None, None]", work)):
            for event in work:
                view.show(_of_node(name, event))
    except ThvideoError as error:
        view.failed(error)
        raise
    view.show(events.NodeFinished(name, "", time.monotonic() - started_s, 0))


def _of_node(name: str, event: StageEvent) -> Event:
    if isinstance(event, Progress):
        return events.NodeProgress(name, event.done, event.total, event.unit)
    return events.NodeNotice(name, event.text)


class JsonView:
    """One JSON object a line on stdout."""

    def show(self, event: Event) -> None:
        """Write the event."""
        say(as_json(event.to_json()))

    def failed(self, error: ThvideoError) -> None:
        """Write the error as the last event."""
        fact = {"event": "run_failed", "error": error.fact, "hint": error.hint}
        say(as_json(fact | {"exit_code": int(error.exit_code)}))


class QuietView:
    """Nothing."""

    def show(self, event: Event) -> None:
        """Show nothing."""

    def failed(self, error: ThvideoError) -> None:
        """Show nothing: the boundary tells of the error."""


class PlainView:
    """A line on stderr for each stage that is over, and where the result is on stdout."""

    def __init__(self) -> None:
        self._tally = Tally()

    def show(self, event: Event) -> None:
        """Write the line of an event that has one."""
        self._tally.add(event)
        match event:
            case events.NodeNotice():
                tell("note", f"{event.id}: {event.text}", "yellow")
            case events.NodeReused() | events.NodeSkipped() | events.NodeFinished():
                tell(event.id, self._tally.outcome(event), "")
            case events.RunFinished():
                for line in summary_lines(event, self._tally.reused, self._tally.ran):
                    say(one_line(line))

    def failed(self, error: ThvideoError) -> None:
        """Write nothing more: the boundary tells of the error."""


class Tally:
    """What a run did so far, in words."""

    def __init__(self) -> None:
        self.reused: list[str] = []
        self.ran: list[str] = []
        self._progress: dict[str, events.NodeProgress] = {}

    def add(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case events.NodeProgress():
                self._progress[event.id] = event
            case events.NodeReused():
                self.reused.append(event.id)
            case events.NodeFinished():
                # Damage that is found on use makes a node run that was reused before.
                self.reused = [name for name in self.reused if name != event.id]
                self.ran.append(event.id)

    def outcome(self, event: events.NodeReused | events.NodeSkipped | events.NodeFinished) -> str:
        """Say how a node ended."""
        match event:
            case events.NodeReused():
                return "reused"
            case events.NodeSkipped():
                return f"skipped ({event.reason})"
        parts = [f"done in {duration(event.seconds)}"]
        progress = self._progress.get(event.id)
        if progress is not None:
            done, unit = progress.done, progress.unit
            parts.append(count(done, unit))
            if event.seconds >= 0.5 and done > 1:
                parts.append(rate(done / event.seconds, unit))
        return ", ".join(parts)


def as_json(value: Any) -> str:
    """Return one line of JSON; what JSON has no value for becomes text.

    What stdout's encoding lacks, and the bytes of a name that are no text, are JSON's escapes.
    """
    text = json.dumps(value, default=str, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    return text
