"""Two stages side by side: the second takes the frames of the first while they are made."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import toys

from thvideo.errors import StageError
from thvideo.pipeline import events
from thvideo.pipeline.graph import Graph, Node
from thvideo.pipeline.plan import plan
from thvideo.pipeline.runner import run
from thvideo.shapes import U8Array
from thvideo.stages.base import Job, Progress, Resources, StageEvent
from thvideo.stages.handover import Handover
from thvideo.workspace.chunks import Chunks
from thvideo.workspace.store import Workspace

N_FRAMES, CHUNK = 12, 3
RESOURCES = Resources()


@dataclass(frozen=True)
class Draw:
    """Keeps numbers in chunks of three and gives each; may fail before one."""

    name: ClassVar[str] = "draw"
    version: ClassVar[int] = 1
    fails: ClassVar[dict[int, Exception]] = {}
    n_frames: int = N_FRAMES

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        for start in range(0, self.n_frames, CHUNK):
            stop, path = start + CHUNK, job.chunks.path(f"{start:03d}.npy")
            if job.chunks.is_done(path.name):
                if job.gives is not None:
                    job.gives.give(start, stop, _read(path))
            else:
                toys.note(f"draw {start}")
                if start in self.fails:
                    raise self.fails[start]
                frames = np.arange(start, stop, dtype=np.uint8).reshape(-1, 1, 1, 1)
                with job.chunks.writing(path.name) as temporary, temporary.open("wb") as file:
                    np.save(file, frames)
                if job.gives is not None:
                    job.gives.give(start, stop, [frames])
            yield Progress(stop, self.n_frames)
        job.facts["n_frames"] = self.n_frames


@dataclass(frozen=True)
class Show:
    """Writes the numbers as text, in chunks of three; may fail before one."""

    name: ClassVar[str] = "show"
    version: ClassVar[int] = 1
    fails: ClassVar[dict[int, Exception]] = {}
    between: str = " "

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        for start in range(0, N_FRAMES, CHUNK):
            stop, name = start + CHUNK, f"{start:03d}.txt"
            if not job.chunks.is_done(name):
                if start in self.fails:
                    raise self.fails[start]
                toys.note(f"show {start}")
                with job.chunks.writing(name) as temporary:
                    batches = list(_arriving(job, start, stop))
                    shown = self.between.join(str(n) for n in np.concatenate(batches).ravel())
                    temporary.write_text(shown + self.between)
            yield Progress(stop, N_FRAMES)
        if "frames" in job.arriving:
            job.arriving["frames"].leave()


def _arriving(job: Job, start: int, stop: int) -> Iterator[U8Array]:
    if "frames" in job.arriving:
        yield from job.arriving["frames"].take(start, stop)
    else:
        yield from _read(job.inputs["frames"].file(f"{start:03d}.npy"))


def _read(path: Path) -> Iterator[U8Array]:
    toys.note(f"read {path.name}")
    yield np.load(path)


@pytest.fixture(autouse=True)
def _nothing_fails(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setattr(Draw, "fails", {})
    monkeypatch.setattr(Show, "fails", {})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def graph(takes: str | None = "frames", between: str = " ") -> Graph:
    shown = Node("show", Show(between), {"frames": "draw"}, takes=takes)
    return Graph((Node("draw", Draw()), shown), "show")


def texts(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("*.txt")))


def of_node(told: list[events.Event], node_id: str) -> list[str]:
    mine = [event for event in told if getattr(event, "id", None) == node_id]
    return [type(event).__name__ + str(getattr(event, "done", "")) for event in mine]


def did(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    log.write_text("")
    return lines


def test_the_second_begins_before_the_first_is_over_and_both_make_what_they_would_alone(
    workspace: Workspace, tmp_path: Path, log: Path
) -> None:
    told = list(run(graph(), workspace, RESOURCES))
    assert not any(line.startswith("read") for line in did(log))
    alone = list(run(graph(takes=None), Workspace(tmp_path / "alone"), RESOURCES))
    assert did(log).count("read 000.npy") == 1
    assert texts(told[-1].artifact) == texts(alone[-1].artifact) == "0 1 2 3 4 5 6 7 8 9 10 11 "
    names = [type(event).__name__ for event in told]
    second = told.index(
        next(e for e in told if isinstance(e, events.NodeStarted) and e.id == "show")
    )
    assert second < names.index("NodeFinished")
    steps = {step.node.id: step for step in plan(graph(), workspace)}
    assert steps["show"].artifact.manifest.inputs == {"frames": steps["draw"].key}
    assert steps["draw"].artifact.manifest.facts == {"n_frames": N_FRAMES}


def test_each_tells_in_the_order_in_which_it_would_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    together = list(run(graph(), workspace, RESOURCES))
    alone = list(run(graph(takes=None), Workspace(tmp_path / "alone"), RESOURCES))
    for node_id in ("draw", "show"):
        assert of_node(together, node_id) == of_node(alone, node_id)
    finished = [event.id for event in together if isinstance(event, events.NodeFinished)]
    assert finished == ["draw", "show"]


def test_a_second_run_does_no_work_and_a_changed_field_only_what_is_downstream(
    workspace: Workspace, log: Path
) -> None:
    list(run(graph(), workspace, RESOURCES))
    did(log)
    list(run(graph(), workspace, RESOURCES))
    assert did(log) == []
    list(run(graph(between="-"), workspace, RESOURCES))
    assert {line.split()[0] for line in did(log)} == {"show", "read"}


@pytest.mark.parametrize("before", [0, 6])
def test_a_maker_that_fails_ends_the_taker_with_its_own_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setitem(Draw.fails, before, StageError("the pen broke"))
    told: list[events.Event] = []
    with pytest.raises(StageError, match="the pen broke"):
        told.extend(run(graph(), workspace, RESOURCES))
    assert of_node(told, "draw")[-1] == ("NodeProgress6" if before else "NodeStarted")
    # After its first frames the taker may have been told of, or not yet.
    assert before or not of_node(told, "show")
    for step in plan(graph(), workspace):
        assert step.action == "run"
        assert not workspace.locks.is_held_elsewhere(step.key)
        assert workspace.n_chunks_left(step.key) == before // CHUNK
    assert "draw" not in [thread.name for thread in threading.enumerate()]


def test_a_taker_that_fails_stops_the_maker_and_the_next_run_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    monkeypatch.setitem(Show.fails, 3, StageError("the screen broke"))
    with pytest.raises(StageError, match="the screen broke"):
        list(run(graph(), workspace, RESOURCES))
    assert "draw" not in [thread.name for thread in threading.enumerate()]
    drawn = [line for line in did(log) if line.startswith("draw")]
    monkeypatch.setattr(Show, "fails", {})
    *_, last = run(graph(), workspace, RESOURCES)
    assert texts(last.artifact) == "0 1 2 3 4 5 6 7 8 9 10 11 "
    again = did(log)
    assert not set(drawn) & set(again)
    # What the taker has kept is not even read.
    assert "read 000.npy" not in again
    assert "show 0" not in again


def test_an_interrupt_between_two_events_loses_no_chunk(workspace: Workspace, log: Path) -> None:
    happening = run(graph(), workspace, RESOURCES)
    next(e for e in happening if isinstance(e, events.NodeProgress) and e.id == "show")
    with pytest.raises(KeyboardInterrupt):
        happening.throw(KeyboardInterrupt())
    assert "draw" not in [thread.name for thread in threading.enumerate()]
    before = did(log)
    assert not any(workspace.locks.is_held_elsewhere(step.key) for step in plan(graph(), workspace))
    *_, last = run(graph(), workspace, RESOURCES)
    assert texts(last.artifact) == "0 1 2 3 4 5 6 7 8 9 10 11 "
    assert not set(before) & set(did(log))


def test_a_killed_run_loses_at_most_one_chunk_of_each(workspace: Workspace, log: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_beside import RESOURCES, graph
from thvideo.pipeline.runner import run
from thvideo.workspace.store import Workspace
for event in run(graph(), Workspace(Path(sys.argv[2])), RESOURCES):
    if getattr(event, "id", "") == "show" and getattr(event, "done", 0) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", script, here, str(workspace.root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    before = did(log)
    assert {"show 0", "show 3"} <= set(before)
    assert "show 9" not in before
    *_, last = run(graph(), workspace, RESOURCES)
    assert texts(last.artifact) == "0 1 2 3 4 5 6 7 8 9 10 11 "
    again = did(log)
    for what in ("draw", "show"):
        twice = [line for line in before if line in again and line.startswith(what)]
        assert len(twice) <= 1


def test_a_taker_that_has_all_its_frames_does_not_keep_the_maker_waiting(
    workspace: Workspace, log: Path
) -> None:
    list(run(graph(), workspace, RESOURCES))
    did(log)
    # All the taker's chunks are there, and none of the maker's.
    steps = {step.node.id: step for step in plan(graph(), workspace)}
    partial = Chunks(workspace.partial_folder(steps["show"].key))
    for path in sorted(steps["show"].artifact.path.glob("*.txt")):
        with partial.writing(path.name) as temporary:
            temporary.write_text(path.read_text())
    shutil.rmtree(steps["show"].artifact.path)
    for path in sorted(steps["draw"].artifact.path.iterdir()):
        path.unlink()
    *_, last = run(graph(), workspace, RESOURCES)
    assert texts(last.artifact) == "0 1 2 3 4 5 6 7 8 9 10 11 "
    assert did(log) == ["draw 0", "draw 3", "draw 6", "draw 9"]


def test_what_another_run_has_made_meanwhile_is_reused_by_both(
    workspace: Workspace, log: Path
) -> None:
    happening = run(graph(), workspace, RESOURCES)
    next(happening)
    list(run(graph(), Workspace(workspace.root), RESOURCES))
    did(log)
    rest = list(happening)
    assert [e.id for e in rest if isinstance(e, events.NodeReused)] == ["draw", "show"]
    assert did(log) == []


def test_a_maker_that_fails_ends_the_taker_s_wait_for_another_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {step.node.id: step for step in plan(graph(), workspace)}
    monkeypatch.setitem(Draw.fails, 6, StageError("the pen broke"))
    with (
        Workspace(workspace.root).locks.held(steps["show"].key),
        pytest.raises(StageError, match="the pen broke"),
    ):
        list(run(graph(), workspace, RESOURCES))


def test_nothing_is_told_of_a_node_after_its_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = Handover.is_over.fget

    def looked_at_late(handover: Handover) -> bool:
        # Between the look at what was told and this one, the maker tells the rest.
        time.sleep(0.02)
        return is_over(handover)

    monkeypatch.setattr(Handover, "is_over", property(looked_at_late))
    told = list(run(graph(), workspace, RESOURCES))
    for node_id in ("draw", "show"):
        assert of_node(told, node_id)[-1] == "NodeFinished"
