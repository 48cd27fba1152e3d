"""A run that is stopped goes on where it was, to the same result."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thvideo.landmarks.tracked import load_tracked
from thvideo.pipeline.events import NodeProgress
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.video.probe import probe
from thvideo.video.read import read_frames
from thvideo.workspace.store import Workspace

CHUNK = Resources(chunk_frames=12)


@pytest.fixture
def start(painting: Path, driver: Path) -> Callable[[Path], object]:
    def start(workspace: Path):
        recipe = make_recipe(
            {"sources": (painting,), "driver": driver, "output": workspace.parent / "out.mp4"}
        )
        return run(reenact_graph(recipe), Workspace(workspace), CHUNK)

    return start


def stop_at(events, node: str, frames: int) -> None:
    """Stop a run, as Ctrl-C does, once a stage has done so many frames."""
    for event in events:
        if isinstance(event, NodeProgress) and event.id == node and event.done >= frames:
            with pytest.raises(KeyboardInterrupt):
                events.throw(KeyboardInterrupt())
            return
    pytest.fail(f"{node} never came to {frames} frames")


def frames_of(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(path, probe(path))))


def test_every_long_stage_goes_on_to_the_same_result(start, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "ws"
    whole.parent.mkdir()
    for _ in start(whole):
        pass
    parts = tmp_path / "parts" / "ws"
    parts.parent.mkdir()
    for node, stopped_at in (("track driver", 30), ("reenact", 30), ("composite", 30)):
        stop_at(start(parts), node, stopped_at)
        events = start(parts)
        went_on = next(
            event.done for event in events if isinstance(event, NodeProgress) and event.id == node
        )
        events.close()
        assert went_on >= 12, f"{node} began anew"
    for _ in start(parts):
        pass

    results = [_results(workspace) for workspace in (whole, parts)]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def _results(workspace: Path) -> tuple[np.ndarray, np.ndarray]:
    """The driver's landmarks and the finished frames."""
    tracks = [load_tracked(path) for path in workspace.glob("artifacts/track/*/landmarks.npz")]
    (driver,) = (track.points for track in tracks if len(track.points) > 1)
    (video,) = workspace.glob("artifacts/composite/*/video.mp4")
    return driver, frames_of(video)
