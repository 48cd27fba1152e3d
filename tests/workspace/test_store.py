"""Artifacts are there whole or not at all."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thvideo.errors import WorkspaceError
from thvideo.workspace.durable import open_regular
from thvideo.workspace.health import MANIFEST, DamagedError
from thvideo.workspace.manifest import Manifest, Payload
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


def test_a_fact_of_another_kind_is_damage(tmp_path):
    made = make(Workspace(tmp_path))
    with pytest.raises(DamagedError, match="tells 'file' wrongly") as error:
        made.fact("file", int)
    assert (error.value.stage, error.value.key) == ("toy", KEY)


def test_a_fact_that_is_missing_is_damage(tmp_path):
    made = make(Workspace(tmp_path))
    assert made.fact("file", str) == "a.txt"
    with pytest.raises(DamagedError, match="tells nothing of 'cuts'") as error:
        made.fact("cuts", list[int])
    assert (error.value.stage, error.value.key) == ("toy", KEY)


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


def replace(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new))


def link_to(path: Path, target: Path | str) -> None:
    path.unlink()
    path.symlink_to(target)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "a.txt").unlink(), r"a\.txt is missing"),
        (lambda folder: (folder / "a.txt").write_text("cut"), "3 bytes instead of 10"),
        (lambda folder: (folder / "a.txt").write_text("WHOLEa.txt"), "other bytes"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "not readable"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff"), "not readable"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 200_000), "not readable"),
        (lambda folder: replace(folder / MANIFEST, b"a.txt", b"b.txt"), "other bytes"),
        (lambda folder: link_to(folder / MANIFEST, "/dev/zero"), "cannot be read"),
        (lambda folder: link_to(folder / "a.txt", "/dev/zero"), "no regular file"),
        (lambda folder: link_to(folder / "a.txt", folder / "b.txt"), "no regular file"),
        (lambda folder: pipe(folder / "a.txt"), "no regular file"),
        (lambda folder: pipe(folder / MANIFEST), "cannot be read"),
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
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said == ["made", "reused"]


def test_a_lock_is_seen_by_others_and_may_be_taken_again_inside(tmp_path):
    workspace, other = Workspace(tmp_path), Workspace(tmp_path)
    with workspace.locks.held(KEY), workspace.locks.held(KEY):
        assert other.locks.is_held_elsewhere(KEY)
        assert not workspace.locks.is_held_elsewhere(KEY)
    assert not other.locks.is_held_elsewhere(KEY)


def test_keys_are_in_use_while_a_run_lives_and_not_after_its_death(tmp_path):
    workspace = Workspace(tmp_path)
    with workspace.locks.using(["a", "b"]), workspace.locks.using(["b", "c"]):
        assert Workspace(tmp_path).locks.keys_in_use() == {"a", "b", "c"}
    assert workspace.locks.keys_in_use() == frozenset()
    script = (
        "import os, sys; from pathlib import Path; from thvideo.workspace.store import Workspace\n"
        "with Workspace(Path(sys.argv[1])).locks.using(['dead']): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert list((tmp_path / "runs").glob("*.keys"))
    assert workspace.locks.keys_in_use() == frozenset()


KILLED = """
import os, sys
from pathlib import Path
from thvideo.workspace.durable import replacing, scratch_folder
from thvideo.workspace.store import Workspace
workspace = Workspace(Path(sys.argv[1]))
with workspace.locks.using(["dead"]), workspace.building("toy", "dead"):
    with replacing(workspace.root / "digests.json") as file:
        file.write(b"half")
        file.flush()
        with scratch_folder(workspace.root) as folder:
            (folder / "a.txt").write_text("half")
            os._exit(9)
"""


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_keeps_its_own(tmp_path):
    workspace = Workspace(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (tmp_path / "runs" / "died-early.lock").touch()
    before = files_under(tmp_path)
    assert "dead.lock" in before
    assert len(list(tmp_path.glob(".thvideo-*"))) == 2
    with workspace.locks.using(["living"]), workspace.locks.held("living"):
        assert "dead.lock" not in files_under(tmp_path)
        with Workspace(tmp_path).locks.using(["other"]):
            left = files_under(tmp_path)
            assert "living.lock" in left
            assert workspace.locks.keys_in_use() == {"living", "other"}
            assert len(list((tmp_path / "runs").iterdir())) == 4
            assert not list(tmp_path.glob(".thvideo-*"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_large_file_is_hashed_when_it_is_used_and_only_once(tmp_path, monkeypatch):
    workspace, content = Workspace(tmp_path), os.urandom(6 << 20)
    with workspace.building("toy", KEY) as build:
        with build.chunks.writing("large.bin") as temporary:
            temporary.write_bytes(content)
        made = build.publish(Manifest(KEY, "toy", 1))
    large = made.path / "large.bin"
    read: list[str] = []
    monkeypatch.setattr(
        "thvideo.workspace.health.open_regular",
        lambda path: (read.append(path.name), open_regular(path))[1],
    )
    hashed = hashlib.sha256(content).hexdigest()
    assert made.manifest.payload["large.bin"] == Payload(len(content), hashed)
    found = workspace.find("toy", KEY)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.sha256", None)  # what the run made itself is known to be whole
        assert made.file("large.bin") == large
    for _ in range(2):
        assert found.file("large.bin").read_bytes() == content
    assert b"".join(found.reading("large.bin")) == content
    large.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for artifact in (found, made, workspace.find("toy", KEY)):
        with pytest.raises(DamagedError, match=r"large\.bin has other bytes"):
            artifact.file("large.bin")
        with pytest.raises(DamagedError, match=r"large\.bin has other bytes"):
            list(artifact.reading("large.bin"))


def test_what_was_not_made_as_a_chunk_is_not_published(tmp_path):
    with Workspace(tmp_path).building("toy", KEY) as build:
        with build.chunks.writing("a.txt") as temporary:
            temporary.write_text("whole")
        (build.chunks.folder / "by the way.txt").write_text("left by a library")
        (build.chunks.folder / "sub").mkdir()
        made = build.publish(Manifest(KEY, "toy", 1))
    assert sorted(path.name for path in made.path.iterdir()) == ["a.txt", MANIFEST]


def lock_folder(path: Path) -> None:
    path.mkdir()


def lock_link(path: Path) -> None:
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    ("lay", "said"),
    [(lock_folder, "is a folder and no lock"), (lock_link, "is a link and no lock")],
)
@pytest.mark.parametrize("key", [KEY, "workspace"])
def test_what_lies_where_a_lock_should_be_is_named(tmp_path, lay, said, key):
    workspace = Workspace(tmp_path)
    lay(tmp_path / "locks" / f"{key}.lock")
    with pytest.raises(WorkspaceError, match=said) as error, workspace.locks.using([KEY]):
        make(workspace)
    assert f"{key}.lock" in error.value.fact
    assert not (tmp_path / "locks" / "target").exists()


def as_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")


def as_link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(parents=True)
    (elsewhere / "mine.txt").write_text("mine")
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("lay", [as_file, as_link])
def test_what_lies_where_an_artifact_is_made_is_put_away_and_never_written_through(tmp_path, lay):
    workspace = Workspace(tmp_path)
    lay(workspace.partial_folder(KEY))
    assert make(workspace).file("a.txt").read_text() == "wholea.txt"
    assert "it is no folder" in workspace.take_notices()[0]
    if lay is as_link:
        assert (tmp_path / "partial" / "elsewhere" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["artifacts/toy", "damaged", "runs/x.keys", "digests"])
def test_what_is_in_the_way_in_a_workspace_is_told_or_removed(tmp_path, name):
    workspace = Workspace(tmp_path)
    broken = make(workspace, key="broken")
    (broken.path / "a.txt").write_text("cut")
    if name == "artifacts/toy":
        shutil.rmtree(tmp_path / name)
    if name.endswith(".keys"):
        (tmp_path / name).mkdir()
    else:
        as_file(tmp_path / name)
    try:
        with workspace.locks.using([KEY]):
            make(workspace)
            make(workspace, key="broken")
    except WorkspaceError as error:
        assert name in error.fact
        assert error.hint


def test_a_remembered_digest_that_is_damaged_is_not_believed(tmp_path):
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2 << 20))
    os.utime(large, (1e9, 1e9))
    digest = Workspace(tmp_path / "w").digests.digest(large)
    (entry,) = (tmp_path / "w" / "digests").iterdir()
    text = entry.read_text()
    for damaged in (text.replace(digest, "0" * 64), text[:-5], "[" * 4000, "{}", "7"):
        entry.write_text(damaged)
        assert Workspace(tmp_path / "w").digests.digest(large) == digest
    entry.unlink()
    os.mkfifo(entry)
    assert Workspace(tmp_path / "w").digests.digest(large) == digest


def test_a_wait_for_a_lock_ends_when_it_is_not_wanted_any_more(tmp_path):
    def unwanted() -> None:
        raise InterruptedError

    with (
        Workspace(tmp_path).locks.held(KEY),
        pytest.raises(InterruptedError),
        Workspace(tmp_path).building("toy", KEY, meanwhile=unwanted),
    ):
        pass


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
    assert f"{tmp_path / 'file'} is no folder" in error.value.fact
    assert "free some space" not in error.value.hint


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
