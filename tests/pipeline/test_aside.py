"""Nodes that may be made aside are: at the same time as those that do not need them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import toys

from thvideo.errors import StageError
from thvideo.pipeline import events
from thvideo.pipeline.graph import Graph, Node, reenact_graph
from thvideo.pipeline.plan import plan
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Job, Progress, Resources, StageEvent
from thvideo.workspace.store import Workspace

RESOURCES = Resources()
PATIENCE_S = 60


@dataclass(frozen=True)
class Meet:
    """Ends only once all that meet at its place are at work at the same time."""

    name: ClassVar[str] = "meet"
    version: ClassVar[int] = 1
    places: ClassVar[dict[str, threading.Barrier]] = {}
    threads: ClassVar[list[str]] = []
    place: str = ""
    who: str = ""

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        self.threads.append(threading.current_thread().name)
        if self.place:
            self.places[self.place].wait(PATIENCE_S)
        toys.note(f"met {self.who}")
        with job.chunks.writing(toys.TEXT) as temporary:
            temporary.write_text(self.who)
        yield Progress(1, 1)


@dataclass(frozen=True)
class Steps:
    """Keeps a chunk a step, and before one does what a test wants."""

    name: ClassVar[str] = "steps"
    version: ClassVar[int] = 1
    before: ClassVar[dict[tuple[str, int], BaseException | Callable[[], None]]] = {}
    who: str = ""

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        for index in range(3):
            if not job.chunks.is_done(f"{index}.txt"):
                act = self.before.get((self.who, index))
                if isinstance(act, BaseException):
                    raise act
                if act is not None:
                    act()
                toys.note(f"{self.who} {index}")
                with job.chunks.writing(f"{index}.txt") as temporary:
                    temporary.write_text(self.who)
            yield Progress(index + 1, 3)
        with job.chunks.writing(toys.TEXT) as temporary:
            temporary.write_text(self.who)


@pytest.fixture(autouse=True)
def _as_they_were(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setattr(Meet, "places", {"here": threading.Barrier(2)})
    monkeypatch.setattr(Meet, "threads", [])
    monkeypatch.setattr(Steps, "before", {})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def meeting(place: str = "here", *, is_aside: bool = True) -> Graph:
    """A source and a driver, each of two nodes, that meet in the third."""
    nodes = (
        Node("read source", Meet("", "a"), is_aside=is_aside),
        Node("source", Meet(place, "b"), {"text": "read source"}, is_aside=is_aside),
        Node("read driver", Meet("", "c")),
        Node("driver", Meet(place, "d"), {"text": "read driver"}),
        Node("join", toys.Join(), {"a": "source", "b": "driver"}),
    )
    return Graph(nodes, "join")


def stepping() -> Graph:
    nodes = (
        Node("source", Steps("s"), is_aside=True),
        Node("driver", Steps("d")),
        Node("join", toys.Join(), {"a": "source", "b": "driver"}),
    )
    return Graph(nodes, "join")


def did(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    log.write_text("")
    return lines


def result(told: list[events.Event]) -> str:
    return (told[-1].artifact / toys.TEXT).read_text()


def of_node(told: list[events.Event], node_id: str) -> list[str]:
    return [type(event).__name__ for event in told if getattr(event, "id", "") == node_id]


def test_two_branches_are_at_work_at_the_same_time_and_make_what_they_would_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    together = list(run(meeting(), workspace, RESOURCES))
    alone = list(run(meeting("", is_aside=False), Workspace(tmp_path / "alone"), RESOURCES))
    assert result(together) == result(alone) == "b d"
    ids = ("read source", "source", "read driver", "driver", "join")
    for node_id in ids:
        assert of_node(together, node_id) == of_node(alone, node_id)
    assert together[0] == events.RunStarted(ids, ids)
    # What needs both begins when both are there.
    begun = together.index(events.NodeStarted("join", "join", "because source and driver run"))
    finished = [i for i, event in enumerate(together) if isinstance(event, events.NodeFinished)]
    assert sorted(finished)[-2] < begun < finished[-1]


def test_the_sources_of_a_reenactment_are_made_beside_its_driver() -> None:
    recipe = Recipe((Path("a.jpg"), Path("b.jpg")), Path("d.mp4"), output=Path("o.mp4"))
    aside = {node.id for node in reenact_graph(recipe).nodes if node.is_aside}
    sources = {f"{stage} source {number}" for stage in ("extract", "track") for number in (1, 2)}
    assert aside == sources | {"embed"}


def test_a_second_run_does_no_work_and_tells_in_the_order_of_the_plan(
    workspace: Workspace, log: Path
) -> None:
    list(run(meeting(), workspace, RESOURCES))
    did(log)
    again = list(run(meeting(), workspace, RESOURCES))
    assert did(log) == []
    reused = [event.id for event in again if isinstance(event, events.NodeReused)]
    assert reused == ["read source", "source", "read driver", "driver", "join"]


def test_where_one_branch_has_no_work_no_thread_is_made(workspace: Workspace) -> None:
    list(run(meeting(), workspace, RESOURCES))
    assert set(Meet.threads) == {"MainThread", "aside"}
    Meet.threads.clear()
    source = Node("other", Meet("", "other"), is_aside=True)
    driver = meeting().nodes[2:4]
    join = Node("join", toys.Join(), {"a": "other", "b": "driver"})
    list(run(Graph((source, *driver, join), "join"), workspace, RESOURCES))
    assert Meet.threads == ["MainThread"]


def test_what_another_branch_makes_too_is_made_once(workspace: Workspace, log: Path) -> None:
    nodes = (
        Node("source", Meet("", "same"), is_aside=True),
        Node("driver", Meet("", "same")),
        Node("moved", Meet("", "other"), {"text": "driver"}),
        Node("join", toys.Join(), {"a": "source", "b": "moved"}),
    )
    told = list(run(Graph(nodes, "join"), workspace, RESOURCES))
    assert result(told) == "same other"
    assert did(log) == ["met same", "met other", "join"]


@pytest.mark.parametrize("fails", ["s", "d"])
def test_a_branch_that_fails_stops_the_other_and_both_keep_their_chunks(
    workspace: Workspace, log: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setitem(Steps.before, (fails, 1), StageError("it broke"))
    with pytest.raises(StageError, match="it broke"):
        list(run(stepping(), workspace, RESOURCES))
    assert "aside" not in [thread.name for thread in threading.enumerate()]
    assert not any(
        workspace.locks.is_held_elsewhere(step.key) for step in plan(stepping(), workspace)
    )
    before = did(log)
    assert f"{fails} 0" in before
    assert "join" not in before
    monkeypatch.setattr(Steps, "before", {})
    assert result(list(run(stepping(), workspace, RESOURCES))) == "s d"
    assert not set(before) & set(did(log))


def test_a_failure_aside_is_told_before_the_other_branch_is_over(
    workspace: Workspace, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_thread_has_ended() -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while "aside" in [thread.name for thread in threading.enumerate()]:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)

    monkeypatch.setitem(Steps.before, ("s", 0), StageError("no face"))
    monkeypatch.setitem(Steps.before, ("d", 1), until_the_thread_has_ended)
    with pytest.raises(StageError, match="no face"):
        list(run(stepping(), workspace, RESOURCES))
    assert "d 2" not in did(log)


def test_an_interrupt_stops_both_and_loses_no_chunk(workspace: Workspace, log: Path) -> None:
    happening = run(stepping(), workspace, RESOURCES)
    next(event for event in happening if isinstance(event, events.NodeProgress))
    with pytest.raises(KeyboardInterrupt):
        happening.throw(KeyboardInterrupt())
    assert "aside" not in [thread.name for thread in threading.enumerate()]
    before = did(log)
    assert before
    assert workspace.locks.keys_in_use() == frozenset()
    assert result(list(run(stepping(), workspace, RESOURCES))) == "s d"
    assert not set(before) & set(did(log))


@contextmanager
def held_by_another(workspace: Workspace, node_id: str) -> Iterator[None]:
    """Hold a node's lock as another run would."""
    (step,) = (step for step in plan(stepping(), workspace) if step.node.id == node_id)
    with Workspace(workspace.root).locks.held(step.key):
        yield


@pytest.mark.parametrize(("waiting", "failing"), [("source", "d"), ("driver", "s")])
def test_a_failure_does_not_wait_for_what_another_run_makes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, waiting: str, failing: str
) -> None:
    told: list[events.Event] = []

    def fail_once_the_other_waits() -> None:
        # This thread gets to look at events only where the one beside is the one that fails.
        while failing == "s" and not any(isinstance(e, events.NodeNotice) for e in told):
            time.sleep(0.001)
        raise StageError("no face")

    monkeypatch.setitem(Steps.before, (failing, 1), fail_once_the_other_waits)
    with held_by_another(workspace, waiting), pytest.raises(StageError, match="no face"):
        for event in run(stepping(), workspace, RESOURCES):
            told.append(event)  # noqa: PERF402  it is looked at meanwhile
    assert "aside" not in [thread.name for thread in threading.enumerate()]
