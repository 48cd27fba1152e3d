"""What can go goes, and nothing else."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thvideo.errors import WorkspaceError
from thvideo.workspace import gc
from thvideo.workspace.gc import Rule
from thvideo.workspace.health import MANIFEST
from thvideo.workspace.manifest import InputFile, Manifest
from thvideo.workspace.store import Artifact, Workspace

DAY_S = 86400


def make(
    workspace: Workspace,
    letter: str,
    *,
    inputs: str = "",
    file_name: str = "",
    n_bytes: int = 100,
    unused_days: float = 0,
) -> Artifact:
    key = letter * 64
    files = {"file": InputFile("d", 1, file_name)} if file_name else {}
    with workspace.building("toy", key) as build:
        with build.chunks.writing("a.bin") as temporary:
            temporary.write_bytes(b"x" * n_bytes)
        needs = {f"in_{each}": each * 64 for each in inputs}
        made = build.publish(Manifest(key, "toy", 1, inputs=needs, files=files))
    used_s = time.time() - unused_days * DAY_S
    os.utime(made.path / MANIFEST, (used_s, used_s))
    return made


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A chain a - b - c and a lone d; only c was of use lately."""
    workspace = Workspace(tmp_path / "w")
    make(workspace, "a", file_name="ann.jpg", unused_days=30)
    make(workspace, "b", inputs="a", file_name="bob.mp4", unused_days=20)
    make(workspace, "c", inputs="b", unused_days=1)
    make(workspace, "d", inputs="a", unused_days=25)
    return workspace


def letters(items) -> str:
    return "".join(sorted(item.key[:1] for item in items))


def left(workspace: Workspace) -> str:
    return letters(gc.entries(workspace))


def test_the_list_names_the_files_that_an_artifact_was_made_from(workspace):
    listed = {entry.key[0]: entry for entry in gc.entries(workspace)}
    assert listed["c"].made_from == ("ann.jpg", "bob.mp4")
    assert listed["d"].made_from == ("ann.jpg",)
    assert listed["c"].size_bytes == 100
    assert 24 * DAY_S < listed["d"].unused_s < 26 * DAY_S
    assert [entry.key[0] for entry in gc.entries(workspace)] == ["c", "b", "d", "a"]


def test_one_is_shown_by_the_beginning_of_its_key(workspace):
    assert gc.show(workspace, "ccc").key == "c" * 64
    with workspace.building("toy", "cd" * 32) as build:
        build.publish(Manifest("cd" * 32, "toy", 1))
    with pytest.raises(WorkspaceError, match="2 keys begin with 'c'"):
        gc.show(workspace, "c")
    for nothing in ("e", ""):
        with pytest.raises(WorkspaceError, match="no artifact"):
            gc.show(workspace, nothing)


def test_verifying_reads_every_byte(workspace, monkeypatch):
    monkeypatch.setattr("thvideo.workspace.health._HASHED_FILE_BYTES", 10)
    payload = workspace.artifact_folder("toy", "b" * 64) / "a.bin"
    payload.write_bytes(b"y" * 100)
    assert workspace.look("toy", "b" * 64).artifact is not None
    (damage,) = gc.verify(workspace)
    assert (damage.key, damage.reason) == ("b" * 64, "a.bin has other bytes than were written")
    gc.set_aside(workspace, [damage])
    assert gc.verify(workspace) == []
    assert left(workspace) == "acd"


def test_without_a_rule_only_leftovers_and_damaged_ones_go(workspace):
    with pytest.raises(RuntimeError), workspace.building("toy", "e" * 64) as build:
        with build.chunks.writing("a.bin") as temporary:
            temporary.write_bytes(b"half")
        raise RuntimeError
    workspace.set_aside("toy", "d" * 64, "tested")
    removed = gc.collect(workspace, Rule())
    assert sorted(item.reason for item in removed) == ["damaged", "left by an interrupted run"]
    assert left(workspace) == "abc"
    usage = gc.usage(workspace)
    assert (usage.partial_bytes, usage.damaged_bytes) == (0, 0)
    assert usage.total_bytes == usage.by_stage_bytes["toy"] > 300


def test_old_ones_go_but_never_what_a_kept_one_was_made_from(workspace):
    removed = gc.collect(workspace, Rule(older_than_days=10))
    assert letters(removed) == "d"
    assert removed[0].reason == "not used for 25.0 days"
    assert left(workspace) == "abc"


def test_the_longest_unused_go_until_the_rest_fits(workspace):
    assert letters(gc.collect(workspace, Rule(keep_bytes=300))) == "d"
    assert letters(gc.collect(workspace, Rule(keep_bytes=150))) == "bc"
    assert left(workspace) == "a"


def test_a_dry_run_tells_the_same_and_removes_nothing(workspace):
    told = gc.collect(workspace, Rule(everything=True), dry_run=True)
    assert left(workspace) == "abcd"
    assert gc.collect(workspace, Rule(everything=True)) == told
    assert left(workspace) == ""


def test_what_a_living_run_needs_stays(workspace):
    with Workspace(workspace.root).locks.using(["b" * 64]):
        gc.collect(workspace, Rule(everything=True))
        assert left(workspace) == "ab"


def test_what_is_locked_stays(workspace):
    other = Workspace(workspace.root)
    with pytest.raises(RuntimeError), other.building("toy", "e" * 64):
        with other.locks.held("d" * 64):
            removed = gc.collect(workspace, Rule(everything=True))
        assert letters(removed) == "abc"
        assert left(workspace) == "d"
        assert workspace.partial_folder("e" * 64).is_dir()
        raise RuntimeError


def test_an_artifact_without_a_readable_manifest_is_garbage(workspace):
    (workspace.artifact_folder("toy", "d" * 64) / MANIFEST).write_text("{")
    assert letters(gc.collect(workspace, Rule())) == "d"


@st.composite
def made_things(draw) -> list[gc.Entry]:
    """Artifacts of which each may be made from earlier ones, of any size and age."""
    found = []
    for index in range(draw(st.integers(0, 8))):
        parents = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        inputs = {f"in_{parent}": str(parent) for parent in sorted(parents)}
        manifest = Manifest(str(index), "toy", 1, inputs=inputs)
        size, unused_s = draw(st.integers(0, 100)), draw(st.floats(0, 10 * DAY_S))
        found.append(
            gc.Entry("toy", str(index), size, unused_s, unused_s, (), manifest, Path(str(index)))
        )
    return found


@given(
    made_things(),
    st.sets(st.integers(0, 7)),
    st.none() | st.floats(0, 10),
    st.none() | st.integers(0, 400),
)
def test_whatever_the_rule_what_stays_is_complete(listed, needed, days, keep_bytes):
    in_use = frozenset(map(str, needed))
    going = gc.going(listed, Rule(days, keep_bytes), in_use)
    kept = [entry for entry in listed if entry.key not in going]
    assert not in_use & set(going)
    for entry in kept:
        assert not set(entry.manifest.inputs.values()) & set(going)
    young = {entry.key for entry in listed if days is None or entry.unused_s <= days * DAY_S}
    if keep_bytes is None:
        assert not young & set(going)
    elif not in_use:
        assert sum(entry.size_bytes for entry in kept) <= keep_bytes


def test_use_makes_an_artifact_young(workspace: Workspace, tmp_path: Path):
    workspace.mark_used(workspace.find("toy", "d" * 64))
    assert gc.collect(workspace, Rule(older_than_days=10)) == []


def test_what_another_run_makes_again_is_left_to_it(workspace):
    other = Workspace(workspace.root)
    damage = gc.Damage("toy", "d" * 64, "a test says so")
    with other.locks.held("d" * 64):
        gc.set_aside(workspace, [damage])
        assert "d" in left(workspace)
    gc.set_aside(workspace, [damage])
    assert "d" not in left(workspace)
