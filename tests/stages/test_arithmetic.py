"""The arithmetic of the networks is part of what is made: two of them never mix."""

from pathlib import Path

import numpy as np
import pytest

from tests.stages.conftest import EXAMPLES, ffmpeg
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_SWIFT
from thvideo.pipeline.events import NodeFinished, NodeProgress, NodeReused
from thvideo.pipeline.graph import stage_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.video.probe import probe
from thvideo.video.read import read_frames
from thvideo.workspace.store import Workspace

CHUNK = Resources(chunk_frames=8, threads=1, device="cpu")


def frames_of(artifact: Path) -> np.ndarray:
    chunks = sorted(artifact.glob("crops-*.mkv"))
    return np.concatenate([np.concatenate(list(read_frames(path, probe(path)))) for path in chunks])


def test_a_run_in_another_arithmetic_takes_nothing_of_a_stopped_one(
    painting: Path, tmp_path: Path
) -> None:
    driver = tmp_path / "driver.mp4"
    ffmpeg("-i", EXAMPLES / "driver.mp4", "-frames:v", "20", "-an", driver)
    write_tiny(tmp_path / "w.safetensors", SMALL_SWIFT, spread=0.5)
    given = {"sources": (painting,), "driver": driver, "weights": tmp_path / "w.safetensors"}
    graphs = {
        precision: stage_graph(
            "reenact", make_recipe({**given, "size": 128, "precision": precision})
        )
        for precision in ("bf16", "fp32")
    }
    workspace = Workspace(tmp_path / "ws")
    # Stopped as by Ctrl-C, with a chunk of both tracks and of the crops done.
    for node in ("track driver", "reenact"):
        events = run(graphs["bf16"], workspace, CHUNK)
        for event in events:
            if isinstance(event, NodeProgress) and event.id == node and event.done >= 8:
                with pytest.raises(KeyboardInterrupt):
                    events.throw(KeyboardInterrupt())
                break
    made = {}
    for precision in ("fp32", "bf16", "fp32"):
        happened = list(run(graphs[precision], workspace, CHUNK))
        made.setdefault(precision, happened)
    ran = {event.id for event in made["fp32"] if isinstance(event, NodeFinished)}
    reused = {event.id for event in made["fp32"] if isinstance(event, NodeReused)}
    assert ran == {"track source 1", "track driver", "embed", "reenact"}
    assert reused == {"extract source 1", "extract driver"}
    # What was asked for first is there still.
    assert not any(isinstance(event, NodeFinished) for event in happened)
    *_, alone = run(graphs["fp32"], Workspace(tmp_path / "alone"), CHUNK)
    crops = {precision: frames_of(events[-1].artifact) for precision, events in made.items()}
    np.testing.assert_array_equal(crops["fp32"], frames_of(alone.artifact))
    assert (crops["fp32"] != crops["bf16"]).any()
