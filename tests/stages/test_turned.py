"""A source that lies on its side is animated as if it stood, and comes out as it lay."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.stages.conftest import Runner
from thvideo.pipeline.events import NodeNotice
from thvideo.video.probe import probe
from thvideo.video.read import read_frames


def frames_of(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(path, probe(path))))


def test_a_picture_on_its_side_gives_the_upright_ones_video_on_its_side(
    reenact: Runner, painting: Path, tmp_path: Path
) -> None:
    picture = Image.open(painting).convert("RGB").reduce(2)
    upright, lying = tmp_path / "upright.png", tmp_path / "lying.png"
    picture.save(upright)
    picture.transpose(Image.Transpose.ROTATE_270).save(lying)
    reenact(tmp_path / "upright.mp4", sources=[upright], generator="warp")
    events = reenact(tmp_path / "lying.mp4", sources=[lying], generator="warp")
    notices = [event.text for event in events if isinstance(event, NodeNotice)]
    assert "lying.png: the face is turned by" in " ".join(notices)
    assert "turn lying.png to have it upright" in " ".join(notices)
    wanted = np.rot90(frames_of(tmp_path / "upright.mp4"), -1, axes=(1, 2)).astype(int)
    made = frames_of(tmp_path / "lying.mp4").astype(int)
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).mean() < 3
