"""A run on a terminal: a line for each stage that is over, a bar for each one at work."""

import sys
import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from thvideo.cli.console import one_line, paint, say
from thvideo.cli.humane import clock, count, rate
from thvideo.cli.render import Tally
from thvideo.cli.summary import summary_lines
from thvideo.errors import ThvideoError
from thvideo.pipeline import events
from thvideo.pipeline.events import Event

_WINDOW_S = 8.0
_MARKS = {
    "done": ("✓", "green", "+"),
    "reused": ("=", "cyan", "="),
    "skipped": ("-", "dim", "-"),
    "note": ("!", "yellow", "!"),
}


class Speed:
    """Items a second over the last seconds, so that a resumed stage does not look fast."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, done: int) -> None:
        """Note how much is done at a moment."""
        self._samples.append((now_s, done))
        while len(self._samples) > 2 and now_s - self._samples[1][0] > _WINDOW_S:
            self._samples.popleft()

    def per_second(self) -> float | None:
        """Return the speed, or None while it is not known."""
        if len(self._samples) < 2:
            return None
        (from_s, from_done), (to_s, to_done) = self._samples[0], self._samples[-1]
        passed_s = to_s - from_s
        return (to_done - from_done) / passed_s if passed_s > 0.2 and to_done > from_done else None


class AtWork:
    """A node that runs now."""

    def __init__(self) -> None:
        self.progress: events.NodeProgress | None = None
        self._speed = Speed()
        self._started_s = time.monotonic()

    def add(self, event: events.NodeProgress) -> None:
        """Note how far it is."""
        self.progress = event
        self._speed.add(time.monotonic(), event.done)

    def cells(self, *, is_wide: bool) -> list[Text | ProgressBar]:
        """Return how far it is, how fast, and how long it will take, with a bar if there is room.

        A row has as many cells whatever is known.
        """
        progress, passed = self.progress, clock(time.monotonic() - self._started_s)
        bar: list[Text | ProgressBar] = [Text()] if is_wide else []
        if progress is None or not progress.total:
            done = count(progress.done, progress.unit) if progress is not None else ""
            return [*bar, Text(), Text(f"{done}  {passed}".strip(), style="dim")]
        if is_wide:
            bar = [_bar(progress.total, progress.done)]
        share = Text(f"{100 * progress.done // progress.total:3d} %")
        speed = self._speed.per_second()
        if speed is None:
            return [*bar, share, Text(passed, style="dim")]
        left_s = (progress.total - progress.done) / speed
        return [*bar, share, Text(f"{rate(speed, progress.unit)}  {clock(left_s)} left")]


class LiveView:
    """Draws on a terminal; also the renderable of the lines at the bottom."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            self, console=self._console, transient=True, refresh_per_second=8,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._spinner = Spinner("dots" if self._is_unicode() else "line", style="cyan")
        self._tally = Tally()
        self._width = 0
        self._at_work: dict[str, AtWork] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the lines at the bottom and give the cursor back."""
        self._at_work = {}
        self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event in and draw what it changes."""
        self._tally.add(event)
        match event:
            case events.RunStarted():
                self._width = max((len(name) for name in event.nodes), default=0)
            case events.NodeStarted():
                self._at_work = {**self._at_work, event.id: AtWork()}
            case events.NodeProgress():
                self._at_work[event.id].add(event)
            case events.NodeNotice():
                self._line("note", event.id, event.text)
            case events.NodeReused():
                self._over("reused", event)
            case events.NodeSkipped():
                self._over("skipped", event)
            case events.NodeFinished():
                self._over("done", event)
            case events.RunFinished():
                self._end(event)

    def failed(self, error: ThvideoError) -> None:
        """Mark where the run ended; the boundary explains why."""
        for node_id in self._at_work:
            self._console.print(
                Text.assemble(("✗" if self._is_unicode() else "x", "bold red"), " ", node_id)
            )

    def __rich__(self) -> Table | Text:
        """Return a line for each stage at work."""
        # Another thread draws: what it goes through here is never changed, only replaced.
        at_work = self._at_work
        if not at_work:
            return Text()
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True, width=self._width)
        is_wide = self._console.width >= 76
        for _ in range(3 if is_wide else 2):
            rows.add_column(no_wrap=True)
        for node_id, node in at_work.items():
            cells = node.cells(is_wide=is_wide)
            rows.add_row(self._spinner, Text(node_id, style="bold"), *cells)
        return rows

    def _over(
        self, mark: str, event: events.NodeReused | events.NodeSkipped | events.NodeFinished
    ) -> None:
        self._at_work = {name: node for name, node in self._at_work.items() if name != event.id}
        self._line(mark, event.id, self._tally.outcome(event))

    def _line(self, mark: str, name: str, text: str) -> None:
        sign, style, ascii_sign = _MARKS[mark]
        text_style = "yellow" if mark == "note" else "dim"
        self._console.print(
            Text.assemble(
                (sign if self._is_unicode() else ascii_sign, style),
                f" {name:<{self._width}} ",
                (one_line(text), text_style),
            ),
            soft_wrap=mark == "note",
            no_wrap=mark != "note",
            overflow="ellipsis",
        )

    def _end(self, event: events.RunFinished) -> None:
        self._at_work = {}
        self._live.stop()
        first, *rest = summary_lines(event, self._tally.reused, self._tally.ran)
        self._console.print()
        say(paint(one_line(first), "1"))
        for line in rest:
            say(one_line(line))

    def _is_unicode(self) -> bool:
        return (getattr(sys.stderr, "encoding", "") or "").lower().startswith("utf")


def _bar(total: int, done: int) -> ProgressBar:
    return ProgressBar(total, done, width=24, complete_style="cyan", finished_style="green")
