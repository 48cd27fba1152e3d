"""A workspace that cannot be written serves all the same, as far as nothing has to be made."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import toys

from thvideo.errors import WorkspaceError
from thvideo.pipeline import events
from thvideo.pipeline.graph import Graph, reenact_graph
from thvideo.pipeline.plan import plan
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace import gc
from thvideo.workspace.store import Workspace

RESOURCES = Resources()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Forbid that anything in a folder is written, even to root, who needs a mount for it."""
    if os.geteuid() != 0:
        modes = [(path, path.stat().st_mode) for path in (folder, *folder.rglob("*"))]
        for path, mode in reversed(modes):
            path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            for path, mode in modes:
                path.chmod(mode)
        return
    mount = shutil.which("mount")
    bind = [str(mount), "--bind", str(folder), str(folder)]
    if mount is None or subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("root may write everywhere, and nothing can be mounted here")
    try:
        subprocess.run([mount, "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    for name in ("ann.jpg", "driver.mp4"):
        (tmp_path / name).write_text(f"stand-in for {name}")
    (tmp_path / "out").mkdir()
    return Recipe(
        sources=(tmp_path / "ann.jpg",),
        driver=tmp_path / "driver.mp4",
        output=tmp_path / "out" / "o.mp4",
    )


@pytest.fixture
def graph(recipe: Recipe) -> Graph:
    return reenact_graph(recipe)


@pytest.fixture
def made(tmp_path: Path, graph: Graph) -> Iterator[Path]:
    """A workspace in which everything is made, and that cannot be written."""
    root = tmp_path / "w"
    toys.fill(Workspace(root), graph)
    # A copy need not have the folders that are empty.
    shutil.rmtree(root / "runs")
    with read_only(root):
        yield root


def test_it_is_listed_shown_verified_and_planned_from(made: Path, graph: Graph) -> None:
    workspace = Workspace(made)
    listed = gc.entries(workspace)
    assert len(listed) == 7
    assert gc.show(workspace, listed[0].key).key == listed[0].key
    assert gc.verify(workspace) == []
    assert gc.usage(workspace).total_bytes > 0
    assert len(gc.collect(workspace, gc.Rule(everything=True), dry_run=True)) == 7
    assert {step.action for step in plan(graph, workspace)} == {"reuse", "skip"}


def test_what_is_made_is_delivered_from_it(made: Path, graph: Graph, recipe: Recipe) -> None:
    told = list(run(graph, Workspace(made), RESOURCES))
    assert [event.copied for event in told if isinstance(event, events.Delivered)] == [True]
    assert recipe.output is not None
    assert recipe.output.read_text().startswith("stand-in")
    assert isinstance(told[-1], events.RunFinished)


def test_what_is_not_made_is_refused_before_anything_is_done(made: Path, recipe: Recipe) -> None:
    other = reenact_graph(replace(recipe, pose=0.5))
    told: list[events.Event] = []
    with pytest.raises(WorkspaceError, match="cannot be written") as error:
        told.extend(run(other, Workspace(made), RESOURCES))
    assert str(made) in error.value.fact
    assert "--workspace" in error.value.hint
    assert [type(event) for event in told] == [events.RunStarted]


def test_what_would_change_it_is_refused(made: Path) -> None:
    workspace = Workspace(made)
    damage = gc.Damage("composite", gc.entries(workspace)[0].key, "a test says so")
    for change in (
        lambda: gc.collect(workspace, gc.Rule(everything=True)),
        lambda: gc.set_aside(workspace, [damage]),
        lambda: workspace.building("toy", "k").__enter__(),
    ):
        with pytest.raises(WorkspaceError, match="cannot be written"):
            change()


def test_damage_in_it_is_told_and_never_delivered(
    tmp_path: Path, graph: Graph, recipe: Recipe
) -> None:
    root = tmp_path / "w"
    toys.fill(Workspace(root), graph)
    (video,) = root.glob("artifacts/composite/*/video.mp4")
    video.write_text(video.read_text().swapcase())
    assert recipe.output is not None
    with read_only(root), pytest.raises(WorkspaceError, match="cannot be written"):
        list(run(graph, Workspace(root), RESOURCES))
    assert not recipe.output.exists()


def test_an_empty_folder_that_cannot_be_written_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with read_only(tmp_path / "w"), pytest.raises(WorkspaceError, match="cannot be made"):
        Workspace(tmp_path / "w")
