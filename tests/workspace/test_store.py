"""Artifacts are there whole or not at all."""

import errno
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thvideo.errors import WorkspaceError
from thvideo.workspace.health import MANIFEST
from thvideo.workspace.manifest import Manifest
from thvideo.workspace.store import Artifact, Workspace

KEY = "k" * 64


def make(
    workspace: Workspace, text: str = "whole", *, key: str = KEY, anew: bool = False
) -> Artifact:
    with workspace.building("toy", key, anew=anew) as build:
        if build.existing is not None:
            return build.existing
        for name in ("a.txt", "b.txt"):
            with build.chunks.writing(name) as temporary:
                temporary.write_text(text + name)
        return build.publish(Manifest(key, "toy", 1, facts={"file": "a.txt"}))


def files_under(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_published_artifact_is_found_with_its_files_and_facts(tmp_path):
    made = make(Workspace(tmp_path / "w"))
    found = Workspace(tmp_path / "w").find("toy", KEY)
    assert found == made
    assert found.file("a.txt").read_text() == "wholea.txt"
    assert found.manifest.facts == {"file": "a.txt"}
    assert set(found.manifest.payload) == {"a.txt", "b.txt"}


def test_a_file_that_is_not_in_the_artifact_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(WorkspaceError, match=r"c\.txt") as error:
        make(Workspace(tmp_path)).file("c.txt")
    assert "--force toy" in error.value.hint


def test_nothing_is_found_before_publishing_or_after_a_failure(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(RuntimeError), workspace.building("toy", KEY) as build:
        with build.chunks.writing("a.txt") as temporary:
            temporary.write_text("first half")
        assert workspace.find("toy", KEY) is None
        raise RuntimeError
    assert workspace.find("toy", KEY) is None
    with workspace.building("toy", KEY) as build:
        assert build.chunks.names() == ("a.txt",)


def test_a_copied_workspace_serves_as_the_first_did(tmp_path):
    make(Workspace(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    assert Workspace(tmp_path / "two").find("toy", KEY) is not None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "a.txt").unlink(), r"a\.txt is missing"),
        (lambda folder: (folder / "a.txt").write_text("cut"), "3 bytes instead of 10"),
        (lambda folder: (folder / "a.txt").write_text("WHOLEa.txt"), "other bytes"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "not readable"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).unlink(), "missing"),
    ],
)
def test_a_damaged_artifact_is_reported_set_aside_and_made_again(tmp_path, spoil, said):
    workspace = Workspace(tmp_path)
    spoil(make(workspace).path)
    assert workspace.find("toy", KEY) is None
    (notice,) = workspace.take_notices()
    assert notice.startswith("the toy artifact kkkkkkkkkkkk is damaged")
    assert re.search(said, notice)
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    assert make(workspace).file("a.txt").read_text() == "wholea.txt"
    assert workspace.find("toy", KEY) is not None
    assert workspace.take_notices() == []


def test_looking_changes_nothing_even_when_there_is_damage(tmp_path):
    workspace = Workspace(tmp_path)
    (make(workspace).path / "a.txt").write_text("cut")
    before = files_under(tmp_path)
    assert workspace.look("toy", KEY).damage
    assert files_under(tmp_path) == before


def test_making_anew_starts_from_nothing_and_replaces(tmp_path):
    workspace = Workspace(tmp_path)
    make(workspace, "old")
    with pytest.raises(RuntimeError), workspace.building("toy", KEY, anew=True) as build:
        with build.chunks.writing("left.txt") as temporary:
            temporary.write_text("left")
        raise RuntimeError
    assert workspace.find("toy", KEY).file("a.txt").read_text() == "olda.txt"
    made = make(workspace, "new", anew=True)
    assert workspace.find("toy", KEY).file("a.txt").read_text() == "newa.txt"
    assert set(made.manifest.payload) == {"a.txt", "b.txt"}
    assert list((tmp_path / "partial").iterdir()) == []


def test_the_same_bytes_make_the_same_manifest(tmp_path):
    texts = [(make(Workspace(tmp_path / name)).path / MANIFEST).read_bytes() for name in "ab"]
    assert texts[0] == texts[1]


def test_a_manifest_of_another_artifact_is_not_published(tmp_path):
    workspace = Workspace(tmp_path)
    with workspace.building("toy", KEY) as build, pytest.raises(ValueError, match="other"):
        build.publish(Manifest("other", "toy", 1))


def test_a_second_process_waits_and_then_uses_what_the_first_made(tmp_path):
    script = """
import sys, time
from pathlib import Path
from thvideo.workspace.manifest import Manifest
from thvideo.workspace.store import Workspace
with Workspace(Path(sys.argv[1])).building("toy", "k" * 64) as build:
    if build.existing:
        print("reused")
    else:
        time.sleep(0.4)
        with build.chunks.writing("a.txt") as temporary:
            temporary.write_text("whole")
        build.publish(Manifest("k" * 64, "toy", 1))
        print("made")
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=30)[0].strip() for process in both)
    assert said == ["made", "reused"]


def test_a_lock_is_seen_by_others_and_may_be_taken_again_inside(tmp_path):
    workspace, other = Workspace(tmp_path), Workspace(tmp_path)
    with workspace.locked(KEY), workspace.locked(KEY):
        assert other.is_locked(KEY)
        assert not workspace.is_locked(KEY)
    assert not other.is_locked(KEY)


def test_keys_are_in_use_while_a_run_lives_and_not_after_its_death(tmp_path):
    workspace = Workspace(tmp_path)
    with workspace.using(["a", "b"]), workspace.using(["b", "c"]):
        assert Workspace(tmp_path).keys_in_use() == {"a", "b", "c"}
    assert workspace.keys_in_use() == frozenset()
    script = (
        "import os, sys; from pathlib import Path; from thvideo.workspace.store import Workspace\n"
        "with Workspace(Path(sys.argv[1])).using(['dead']): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert list((tmp_path / "runs").glob("*.keys"))
    assert workspace.keys_in_use() == frozenset()
    assert not list((tmp_path / "runs").glob("*.keys"))


def test_the_workspace_is_left_out_of_backups_and_of_git(tmp_path):
    Workspace(tmp_path / "w")
    tag = (tmp_path / "w" / "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (tmp_path / "w" / ".gitignore").read_text() == "*\n"


def test_a_workspace_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError) as error:
        Workspace(tmp_path / "file" / "w")
    assert "--workspace" in error.value.hint


def test_a_full_disk_while_publishing_keeps_the_chunks(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(WorkspaceError, match="no space") as error:
        patch.setattr("thvideo.workspace.store.write_whole", full)
        make(workspace)
    assert "free some space or pass --workspace DIR" in error.value.hint
    with workspace.building("toy", KEY) as build:
        assert build.chunks.names() == ("a.txt", "b.txt")
