"""A second run reuses; a change reruns what is downstream; a kill loses one chunk at most."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import toys

from thvideo.errors import DeviceError, InputError, StageError, UsageError, WorkspaceError
from thvideo.pipeline import events
from thvideo.pipeline.graph import Graph, Node
from thvideo.pipeline.plan import plan
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace import gc
from thvideo.workspace.store import Build, Workspace

RESOURCES = Resources()


@pytest.fixture
def words(tmp_path) -> Path:
    return toys.write_words(tmp_path / "words")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "w")


def did(log: Path) -> list[str]:
    """Return the noted work and forget it."""
    lines = log.read_text().splitlines()
    log.write_text("")
    return lines


def result(graph: Graph, workspace: Workspace, force: tuple[str, ...] = ()) -> str:
    *_, last = run(graph, workspace, RESOURCES, force)
    return (last.artifact / toys.TEXT).read_text()


def test_a_run_tells_what_happens_and_makes_the_target(words, workspace, log):
    told = list(run(toys.speech(words), workspace, RESOURCES))
    names = [type(event).__name__ for event in told]
    assert names == [
        "RunStarted",
        *["NodeStarted", "NodeProgress", "NodeFinished"] * 2,
        *["NodeStarted", "NodeNotice", "NodeFinished"],
        "NodeSkipped",
        *["NodeStarted", "NodeProgress", "NodeFinished"],
        "RunFinished",
    ]
    assert told[0].to_run == ("read a", "read b", "shout", "join")
    assert told[10] == events.NodeSkipped("idle", "there is nothing to do here")
    assert (told[-1].artifact / toys.TEXT).read_text() == "hello WORLD!"
    assert did(log) == ["read a.txt", "read b.txt", "shout", "join"]


def test_events_are_json_with_their_name(words, workspace, log):
    for event in run(toys.speech(words), workspace, RESOURCES):
        assert json.loads(json.dumps(event.to_json()))["event"]
    assert event.to_json()["event"] == "run_finished"
    assert event.to_json()["artifact"] == str(event.artifact)


def test_a_second_run_does_no_work(words, workspace, log):
    first = result(toys.speech(words), workspace)
    did(log)
    told = list(run(toys.speech(words), workspace, RESOURCES))
    assert did(log) == []
    assert sum(isinstance(event, events.NodeReused) for event in told) == 4
    assert result(toys.speech(words), workspace) == first


def test_a_changed_field_reruns_only_what_is_downstream(words, workspace, log):
    result(toys.speech(words), workspace)
    did(log)
    assert result(toys.speech(words, marks=3), workspace) == "hello WORLD!!!"
    assert did(log) == ["shout", "join"]
    assert result(toys.speech(words, marks=3, between="-"), workspace) == "hello-WORLD!!!"
    assert did(log) == ["join"]
    assert result(toys.speech(words), workspace) == "hello WORLD!"
    assert did(log) == []


def test_a_changed_file_reruns_what_reads_it_and_a_renamed_one_nothing(words, workspace, log):
    result(toys.speech(words), workspace)
    did(log)
    (words / "a.txt").write_text("howdy")
    assert result(toys.speech(words), workspace) == "howdy WORLD!"
    assert did(log) == ["read a.txt", "join"]
    moved = words.rename(words.with_name("elsewhere"))
    assert result(toys.speech(moved), workspace) == "howdy WORLD!"
    assert did(log) == []


def test_a_copied_workspace_does_no_work(words, workspace, log, tmp_path):
    result(toys.speech(words), workspace)
    did(log)
    shutil.copytree(workspace.root, tmp_path / "copy")
    shutil.rmtree(workspace.root)
    assert result(toys.speech(words), Workspace(tmp_path / "copy")) == "hello WORLD!"
    assert did(log) == []


def test_equal_files_under_two_names_are_worked_on_once(words, workspace, log):
    shutil.copyfile(words / "b.txt", words / "a.txt")
    assert result(toys.speech(words), workspace) == "world WORLD!"
    assert did(log) == ["read a.txt", "shout", "join"]


def test_resources_are_not_part_of_the_key(words, workspace, log):
    result(toys.speech(words), workspace)
    did(log)
    other = Resources(device="cuda", batch_size=7, threads=3, chunk_frames=11)
    list(run(toys.speech(words), workspace, other))
    assert did(log) == []


def test_a_forced_stage_runs_again_with_all_that_depends_on_it(words, workspace, log):
    result(toys.speech(words), workspace)
    did(log)
    result(toys.speech(words), workspace, force=("shout",))
    assert did(log) == ["shout", "join"]
    result(toys.speech(words), workspace, force=("read a",))
    assert did(log) == ["read a.txt", "join"]
    with pytest.raises(UsageError, match="shuot") as error:
        list(run(toys.speech(words), workspace, RESOURCES, ("shuot",)))
    assert error.value.hint == "did you mean 'shout'?"


def test_damage_is_reported_and_made_again_and_the_rest_reused(words, workspace, log):
    result(toys.speech(words), workspace)
    did(log)
    shout = next(step for step in plan(toys.speech(words), workspace) if step.node.id == "shout")
    (shout.artifact.path / toys.TEXT).write_text("WORLD?")
    told = list(run(toys.speech(words), workspace, RESOURCES))
    assert did(log) == ["shout"]
    notices = [event.text for event in told if isinstance(event, events.NodeNotice)]
    assert "is damaged" in notices[0]
    assert result(toys.speech(words), workspace) == "hello WORLD!"


def spoil(path: Path) -> None:
    """Change a byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


LARGE = "word " * (1 << 20)


def test_damage_that_a_look_does_not_see_is_found_on_use_and_made_again(words, workspace, log):
    (words / "b.txt").write_text(LARGE)
    result(toys.speech(words), workspace)
    did(log)
    steps = {step.node.id: step for step in plan(toys.speech(words), workspace)}
    spoil(steps["read b"].artifact.path / toys.TEXT)
    spoil(steps["shout"].artifact.path / toys.TEXT)
    told = list(run(toys.speech(words, between="-"), workspace, RESOURCES))
    assert (told[-1].artifact / toys.TEXT).read_text() == f"hello-{LARGE.upper()}!"
    # Each is found when it is used, and only what is damaged is made again.
    assert did(log) == ["join", "shout", "read b.txt", "shout", "join"]
    notices = [(e.id, e.text) for e in told if isinstance(e, events.NodeNotice)]
    assert [node for node, text in notices if "is damaged" in text] == ["shout", "read b"]
    assert len(list((workspace.root / "damaged").iterdir())) == 2
    finished = [e.id for e in told if isinstance(e, events.NodeFinished)]
    assert finished == ["read b", "shout", "join"]
    assert [e.id for e in told if isinstance(e, events.NodeSkipped)] == ["idle"]
    assert sum(isinstance(e, events.RunStarted) for e in told) == 1


def test_a_forced_stage_runs_once_although_damage_is_found_after_it(words, workspace, log):
    (words / "a.txt").write_text(LARGE)
    result(toys.speech(words), workspace)
    did(log)
    (step,) = (s for s in plan(toys.speech(words), workspace) if s.node.id == "read a")
    spoil(step.artifact.path / toys.TEXT)
    assert result(toys.speech(words), workspace, force=("shout",)) == f"{LARGE} WORLD!"
    assert did(log) == ["shout", "join", "read a.txt", "join"]


def test_a_disk_that_damages_everything_ends_the_run(words, workspace, log, monkeypatch):
    (words / "b.txt").write_text(LARGE)
    publish = Build.publish

    def spoiling(build, manifest):
        made = publish(build, manifest)
        spoil(made.path / toys.TEXT)
        return made

    monkeypatch.setattr(Build, "publish", spoiling)
    with pytest.raises(WorkspaceError, match="is damaged"):
        result(toys.speech(words), workspace)


def test_a_damaged_chunk_of_an_interrupted_run_is_made_again(workspace, log):
    graph = counting(5, 0.0)
    happening = run(graph, workspace, RESOURCES)
    next(e for e in happening if isinstance(e, events.NodeProgress) and e.done == 3)
    happening.close()
    did(log)
    (step,) = plan(graph, workspace)
    spoil(workspace.partial_folder(step.key) / "001.txt")
    told = list(run(graph, workspace, RESOURCES))
    assert did(log) == ["chunk 1", "chunk 3", "chunk 4"]
    (notice,) = (e.text for e in told if isinstance(e, events.NodeNotice))
    assert "001.txt of an interrupted run is damaged" in notice
    texts = [path.read_text() for path in sorted(told[-1].artifact.glob("*.txt"))]
    assert "".join(texts) == "0 1 2 3 4 "
    assert gc.verify(workspace) == []


def test_a_chunk_that_is_damaged_under_a_run_is_made_again(workspace, log):
    graph = counting(5, 0.0)
    told = []
    for event in run(graph, workspace, RESOURCES):
        told.append(event)
        if len(did(log)) and isinstance(event, events.NodeProgress) and event.done == 3:
            spoil(workspace.partial_folder(plan(graph, workspace)[0].key) / "001.txt")
    assert [e.done for e in told if isinstance(e, events.NodeProgress)] == [1, 2, 3, 4, 5] * 2
    texts = [path.read_text() for path in sorted(told[-1].artifact.glob("*.txt"))]
    assert "".join(texts) == "0 1 2 3 4 "


def test_two_processes_that_need_the_same_make_it_once(workspace, log):
    both = [start_counting(workspace.root, 4, 0.1) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said == ["finished", "reused"]
    assert sorted(did(log)) == [f"chunk {index}" for index in range(4)]


def test_a_killed_run_loses_at_most_one_chunk(workspace, log):
    n_chunks = 8
    # After its sixth chunk it waits to be killed.
    process = start_counting(workspace.root, n_chunks, 0.01, "6")
    deadline_s = time.monotonic() + 60
    while len(log.read_text().splitlines()) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done_before = did(log)
    assert 3 <= len(done_before) < n_chunks
    # The pause is a parameter, so it has to be the same for the key to be the same.
    graph = counting(n_chunks, 0.01)
    (step,) = plan(graph, workspace)
    assert "goes on from an interrupted run" in step.reason
    assert step.action == "run"
    *_, last = run(graph, workspace, RESOURCES)
    done_after = did(log)
    assert not set(done_before) & set(done_after)
    # The chunk that was whole when the kill came may not have been noted yet.
    assert n_chunks - 1 <= len(done_before) + len(done_after) <= n_chunks
    texts = [path.read_text() for path in sorted(last.artifact.glob("*.txt"))]
    assert "".join(texts) == "0 1 2 3 4 5 6 7 "
    assert not list(last.artifact.glob(".tmp*"))


def counting(n_chunks: int, seconds_each: float) -> Graph:
    return Graph((Node("count", toys.Count(n_chunks, seconds_each)),), "count")


def start_counting(
    root: Path, n_chunks: int, seconds_each: float, waits_after: str = ""
) -> subprocess.Popen[str]:
    script = """
import sys
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import toys
from thvideo.pipeline import events
from thvideo.pipeline.graph import Graph, Node
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace import gc
from thvideo.workspace.store import Build, Workspace
sleep, n_slept = toys.time.sleep, count()
if sys.argv[5]:
    wait = lambda seconds: sleep(100 if next(n_slept) == int(sys.argv[5]) else seconds)
    toys.time = SimpleNamespace(sleep=wait)
graph = Graph((Node("count", toys.Count(int(sys.argv[3]), float(sys.argv[4]))),), "count")
for event in run(graph, Workspace(Path(sys.argv[2])), Resources()):
    if isinstance(event, events.NodeReused):
        print("reused")
    elif isinstance(event, events.NodeFinished):
        print("finished")
"""
    here = str(Path(toys.__file__).parent)
    command = [
        sys.executable,
        "-c",
        script,
        here,
        str(root),
        str(n_chunks),
        str(seconds_each),
        waits_after,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("raised", "seen", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), WorkspaceError, "pass --workspace DIR"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), WorkspaceError, "free some space"),
        (OSError(errno.EFBIG, "File too large"), WorkspaceError, "ulimit -f"),
        (StageError("ffmpeg: out.mp4: No space left on device"), WorkspaceError, "free some space"),
        (MemoryError(), DeviceError, "--batch-size"),
        (OutOfMemoryError("CUDA out of memory"), DeviceError, "--batch-size"),
        (InputError("no face", hint="look"), InputError, "look"),
    ],
)
def test_failures_of_the_machine_are_explained_and_chunks_stay(
    workspace, monkeypatch, raised, seen, hint
):
    monkeypatch.setitem(toys.Fail.errors, "it", raised)
    graph = Graph((Node("fail", toys.Fail("it")),), "fail")
    with pytest.raises(seen) as error:
        list(run(graph, workspace, RESOURCES))
    assert hint in error.value.hint
    (step,) = plan(graph, workspace)
    assert workspace.n_chunks_left(step.key) == 1
    assert not workspace.locks.is_held_elsewhere(step.key)


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt(), ZeroDivisionError(), FileNotFoundError(2, "x")]
)
def test_other_failures_pass_as_they_are(workspace, monkeypatch, raised):
    monkeypatch.setitem(toys.Fail.errors, "it", raised)
    with pytest.raises(type(raised)):
        list(run(Graph((Node("fail", toys.Fail("it")),), "fail"), workspace, RESOURCES))


def test_a_workspace_that_fails_under_a_stage_is_named(workspace, monkeypatch):
    lost = workspace.root / "partial" / "lost.bin"
    for error_number in (errno.EIO, errno.ENOENT, errno.EACCES):
        raised = OSError(error_number, "it failed", str(lost))
        monkeypatch.setitem(toys.Fail.errors, "it", raised)
        with pytest.raises(WorkspaceError, match=r"lost\.bin cannot be used"):
            list(run(Graph((Node("fail", toys.Fail("it")),), "fail"), workspace, RESOURCES))


def test_the_disk_that_is_full_is_named(workspace, monkeypatch, tmp_path):
    places = {workspace.root / "partial" / "x.bin": workspace.root, tmp_path / "t" / "x": "t"}
    for path, named in places.items():
        full = OSError(errno.ENOSPC, "No space left on device", str(path))
        monkeypatch.setitem(toys.Fail.errors, "it", full)
        with pytest.raises(WorkspaceError) as error:
            list(run(Graph((Node("fail", toys.Fail("it")),), "fail"), workspace, RESOURCES))
        assert error.value.fact == f"no space is left on the disk of {tmp_path / named}"


def test_what_is_made_before_a_failure_is_not_lost(words, workspace, log, monkeypatch):
    monkeypatch.setitem(toys.Fail.errors, "it", OSError(errno.ENOSPC, "full"))
    graph = toys.speech(words)
    failing = Graph((*graph.nodes[:3], Node("fail", toys.Fail("it"), {"a": "shout"})), "fail")
    with pytest.raises(WorkspaceError):
        list(run(failing, workspace, RESOURCES))
    did(log)
    result(graph, workspace)
    assert did(log) == ["join"]


def test_a_file_that_changes_during_the_run_is_not_published_under_the_old_key(
    words, workspace, log
):
    happening = run(toys.speech(words), workspace, RESOURCES)
    for event in happening:
        if isinstance(event, events.NodeStarted) and event.id == "read a":
            (words / "a.txt").write_text("other")
            break
    with pytest.raises(InputError, match="changed during the run"):
        list(happening)
    assert result(toys.speech(words), workspace) == "other WORLD!"


def test_stopping_to_listen_frees_the_lock_and_keeps_the_chunks(workspace, log):
    graph = counting(5, 0.0)
    happening = run(graph, workspace, RESOURCES)
    next(event for event in happening if isinstance(event, events.NodeProgress))
    (step,) = plan(graph, Workspace(workspace.root))
    assert Workspace(workspace.root).locks.is_held_elsewhere(step.key)
    happening.close()
    assert not Workspace(workspace.root).locks.is_held_elsewhere(step.key)
    assert workspace.n_chunks_left(step.key) == 1
    assert workspace.locks.keys_in_use() == frozenset()


def test_a_manifest_tells_what_made_it_and_at_what_cost(words, workspace, log, monkeypatch):
    # A second goes by whenever somebody looks at the clock.
    clock = SimpleNamespace(monotonic=partial(next, count()))
    monkeypatch.setattr("thvideo.pipeline.making.time", clock)
    *_, last = run(toys.speech(words), workspace, RESOURCES)
    steps = {step.node.id: step for step in plan(toys.speech(words), workspace)}
    shout = steps["shout"].artifact.manifest
    assert shout.parameters == {"marks": 1, "strength": 1.0}
    assert shout.inputs == {"text": steps["read b"].key}
    assert shout.facts == {"n_frames": 5}
    assert shout.seconds == 1
    assert 1_000_000 < shout.peak_bytes < 100_000_000_000
    assert shout.versions["python"].startswith("3.")
    join = steps["join"].artifact.manifest
    assert set(join.inputs) == {"a", "b"}  # the idle one is left out
    assert steps["read a"].artifact.manifest.files["file"].name == "a.txt"
    assert last.artifact == steps["join"].artifact.path
