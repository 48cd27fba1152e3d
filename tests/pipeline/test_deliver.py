"""The output is there whole or as it was."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

from thvideo.errors import WorkspaceError
from thvideo.pipeline import events
from thvideo.pipeline.deliver import deliver as deliver_one
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace.health import DamagedError
from thvideo.workspace.store import Artifact, Workspace

HEAVY = ("torch", "cv2", "scipy", "skimage", "moviepy")


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    for name in ("ann.jpg", "driver.mp4"):
        (tmp_path / name).write_text(f"stand-in for {name}")
    (tmp_path / "out").mkdir()
    return Recipe(
        sources=(tmp_path / "ann.jpg",),
        driver=tmp_path / "driver.mp4",
        output=tmp_path / "out" / "o.mp4",
        compare=True,
    )


@pytest.fixture
def workspace(tmp_path, recipe) -> Workspace:
    """A workspace in which everything is made already."""
    workspace = Workspace(tmp_path / "w")
    toys.fill(workspace, reenact_graph(recipe))
    return workspace


def deliver(recipe: Recipe, workspace: Workspace) -> dict[str, bool]:
    """Return which files were copied, by name."""
    told = run(reenact_graph(recipe), workspace, Resources())
    return {e.output.name: e.copied for e in told if isinstance(e, events.Delivered)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_video_the_comparison_and_the_report_lie_side_by_side(recipe, workspace):
    assert deliver(recipe, workspace) == {"o.mp4": True, "o.compare.mp4": True}
    assert names(recipe.output.parent) == ["o.compare.mp4", "o.json", "o.mp4"]
    assert recipe.output.read_text().startswith("stand-in")


def test_a_name_of_nearly_all_letters_that_a_system_takes_is_delivered_to(recipe, workspace):
    long = recipe.output.with_name("x" * 245 + ".mp4")
    recipe = dataclasses.replace(recipe, output=long, compare=False)
    assert deliver(recipe, workspace)[long.name]
    assert names(long.parent) == sorted([long.name, long.with_suffix(".json").name])


def test_the_same_bytes_are_not_copied_again_but_other_bytes_are(recipe, workspace):
    deliver(recipe, workspace)
    assert deliver(recipe, workspace) == {"o.mp4": False, "o.compare.mp4": False}
    text = recipe.output.read_text()
    recipe.output.write_text(text.swapcase())
    assert deliver(recipe, workspace)["o.mp4"]
    assert recipe.output.read_text() == text


def test_a_linked_output_stays_a_link(recipe, workspace, tmp_path):
    recipe.output.symlink_to(tmp_path / "real.mp4")
    deliver(recipe, workspace)
    assert recipe.output.is_symlink()
    assert (tmp_path / "real.mp4").read_text().startswith("stand-in")


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_full_disk_leaves_the_old_output_and_the_next_run_only_copies(
    recipe, workspace, monkeypatch, moment
):
    recipe.output.write_text("the old video")

    def full(artifact, name):
        yield b"ha"
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(WorkspaceError) as error:
        if moment == "while":
            patch.setattr(Artifact, "reading", full)
        else:
            patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(18, 9, 9))
        deliver(recipe, workspace)
    size = len(f"stand-in {'k' * 64}")
    assert f"no space for {recipe.output}: it takes {size} bytes" in error.value.fact
    assert ("9 are free" in error.value.fact) == (moment == "before")
    assert "the next run only copies it" in error.value.hint
    assert recipe.output.read_text() == "the old video"
    assert names(recipe.output.parent) == ["o.mp4"]
    told = list(run(reenact_graph(recipe), workspace, Resources()))
    assert told[0].to_run == ()
    assert recipe.output.read_text().startswith("stand-in")


def test_what_a_killed_copy_left_is_removed_and_a_living_one_left_alone(recipe, workspace):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = recipe.output.with_name(f".thvideo-{gone.pid}-12ab.part")
    alive = recipe.output.with_name(f".thvideo-{os.getppid()}-12ab.part")
    dead.touch()
    alive.touch()
    deliver(recipe, workspace)
    assert not dead.exists()
    assert alive.exists()


def test_a_part_file_has_a_name_of_its_own_each_time_and_is_for_nobody_else(
    recipe, workspace, monkeypatch
):
    seen: list[tuple[str, int]] = []
    replace = Path.replace

    def look(path, target):
        seen.append((path.name, path.stat().st_mode & 0o777))
        return replace(path, target)

    def reading(artifact, name):
        seen.extend(
            (path.name, path.stat().st_mode & 0o777)
            for path in recipe.output.parent.glob(".thvideo-*")
        )
        yield (artifact.path / name).read_bytes()

    monkeypatch.setattr(Artifact, "reading", reading)
    for _ in range(2):
        recipe.output.unlink(missing_ok=True)
        deliver(recipe, workspace)
    assert len({name for name, _ in seen}) == len(seen) == 3
    assert {mode for _, mode in seen} == {0o600}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_what_is_delivered_has_the_rights_that_the_umask_leaves(recipe, workspace, umask):
    script = """
import sys
from pathlib import Path
from thvideo.pipeline.deliver import deliver
from thvideo.workspace.store import Workspace
workspace = Workspace(Path(sys.argv[1]))
(manifest,) = workspace.manifests("composite")
artifact = workspace.find("composite", manifest.key)
deliver(artifact, Path(sys.argv[2]), workspace.digests)
"""
    command = [sys.executable, "-c", script, str(workspace.root), str(recipe.output)]
    subprocess.run(command, check=True, umask=umask)
    assert recipe.output.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_damaged_video_is_never_delivered(recipe, workspace):
    recipe.output.write_text("the old video")
    (manifest,) = workspace.manifests("composite")
    artifact = workspace.find("composite", manifest.key)
    path = artifact.path / "video.mp4"
    path.write_text(path.read_text().swapcase())
    with pytest.raises(DamagedError, match=r"video\.mp4 has other bytes"):
        deliver_one(artifact, recipe.output, workspace.digests)
    assert names(recipe.output.parent) == ["o.mp4"]
    assert recipe.output.read_text() == "the old video"


def test_the_report_tells_what_was_made_of_what(recipe, workspace):
    deliver(recipe, workspace)
    report = json.loads(recipe.output.with_suffix(".json").read_text())
    assert report["schema"] == "thvideo-report/1"
    assert report["synthetic"] is True
    assert report["output"] == str(recipe.output)
    assert report["comparison"] == str(recipe.output.with_name("o.compare.mp4"))
    assert [source["name"] for source in report["sources"]] == ["ann.jpg"]
    assert report["driver"]["name"] == "driver.mp4"
    assert report["driver"]["sha256"] == workspace.digests.digest(recipe.driver)
    assert report["settings"]["max_side"] == 1080
    assert not {"sources", "workspace"} & set(report["settings"])
    assert report["times"] == {"n_frames": 240, "rate": "24000/1001", "duration_s": 10.01}
    assert report["drift"] == {"end_drift_ms": 0.0}
    assert report["no_face_spans"] == [[3, 5, 0.125, 0.208]]
    assert report["cuts"] == [100]
    stages = {stage["id"]: stage for stage in report["stages"]}
    assert stages["finetune"]["action"] == "skip"
    assert stages["track driver"] == {
        "id": "track driver",
        "action": "reuse",
        "reason": "made already",
        "seconds": 2.0,
        "frames_per_s": 120.0,
        "peak_bytes": 1000,
        "key": stages["track driver"]["key"],
    }
    assert report["versions"] == {"thvideo": "0.1.0"}


def test_a_cached_run_reads_no_large_file_again_and_loads_nothing_heavy(recipe, workspace):
    with recipe.driver.open("ab") as driver:
        driver.write(b"x" * (2 << 20))
    hour_ago_s = time.time() - 3600
    os.utime(recipe.driver, (hour_ago_s, hour_ago_s))
    toys.fill(workspace, reenact_graph(recipe))
    deliver(recipe, workspace)
    script = f"""
import json, sys
from pathlib import Path
from thvideo.pipeline.check import check_recipe
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace import gc, keys
from thvideo.workspace.store import Workspace
source, driver, output, root = map(Path, sys.argv[1:])
read, digest = [], keys.file_digest
keys.file_digest = lambda path: read.append(path.name) or digest(path)
recipe = make_recipe(dict(sources=(source,), driver=driver, output=output, compare=True))
check_recipe(recipe)
told = list(run(reenact_graph(recipe), Workspace(root), Resources()))
assert told[0].to_run == (), told[0]
print(json.dumps([read, [name for name in {HEAVY} if name in sys.modules]]))
"""
    arguments = [
        str(recipe.sources[0]),
        str(recipe.driver),
        str(recipe.output),
        str(workspace.root),
    ]
    said = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    read, heavy = json.loads(said.stdout)
    assert "ann.jpg" in read
    assert "driver.mp4" not in read
    assert heavy == []
