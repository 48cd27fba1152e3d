"""An animated picture is a video of all its frames, each as a still picture would be."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thvideo.errors import InputError
from thvideo.imaging.picture import Animation, load_picture, picture_kind
from thvideo.pipeline.events import NodeNotice
from thvideo.pipeline.graph import stage_graph
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.stages.footage import Footage, open_footage
from thvideo.workspace.store import Workspace

KINDS: dict[str, dict[str, Any]] = {
    "a.gif": {"disposal": 2},
    "a.webp": {"lossless": True},
    "a.png": {"disposal": 1},
    "a.avif": {"quality": 100, "subsampling": "4:4:4"},
}
DURATIONS_MS = [40, 120, 30, 200, 70]


def frames() -> list[Image.Image]:
    """Return frames with a transparent edge, a bar that moves and a number of their own."""
    made = []
    for number in range(len(DURATIONS_MS)):
        pixels = np.zeros((70, 100, 4), np.uint8)
        pixels[:, 20:] = (40, 90 + 20 * number, 160, 255)
        pixels[:, 30 + 10 * number : 40 + 10 * number, :3] = (220, 60, 30)
        made.append(Image.fromarray(pixels))
    return made


def write(path: Path, **options: Any) -> Path:
    first, *rest = frames()
    options = {"save_all": True, "append_images": rest, "duration": DURATIONS_MS} | options
    first.save(path, **options)
    return path


def extracted(path: Path, tmp_path: Path) -> tuple[Footage, list[str]]:
    workspace = Workspace(tmp_path / "w")
    graph = stage_graph("extract", Recipe(sources=(path,)))
    told = list(run(graph, workspace, Resources()))
    place = told[-1].artifact  # type: ignore[attr-defined]
    found = workspace.look("extract", place.name).artifact
    assert found is not None
    return open_footage(found), [e.text for e in told if isinstance(e, NodeNotice)]


@pytest.mark.parametrize("name", KINDS)
def test_all_frames_come_on_white_at_their_times(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **KINDS[name])
    assert picture_kind(path) == "animation"
    footage, notices = extracted(path, tmp_path)
    assert (footage.kind, footage.n_frames, footage.size) == ("video", 5, (70, 100))
    assert footage.times is not None
    wanted = [Fraction(ms, 1000) for ms in DURATIONS_MS]
    ticks = footage.times.durations() * footage.times.time_base.numerator
    assert [Fraction(int(t), footage.times.time_base.denominator) for t in ticks] == wanted
    got = np.concatenate(list(footage.frames())).astype(int)
    limit = 4 if name in ("a.gif", "a.avif") else 0  # 256 colours, and a codec with loss
    for number, frame in enumerate(frames()):
        paper = Image.new("RGBA", frame.size, "white")
        paper.alpha_composite(frame)
        assert np.abs(got[number] - np.asarray(paper.convert("RGB"))).max() <= limit, number
    assert notices == []


@pytest.mark.parametrize("name", KINDS)
def test_a_moving_picture_and_a_still_of_it_look_alike(tmp_path: Path, name: str) -> None:
    moving = write(tmp_path / name, **KINDS[name])
    still = tmp_path / f"still-{name}"
    options = {key: value for key, value in KINDS[name].items() if key != "disposal"}
    frames()[0].save(still, **options)
    first = next(Animation(moving, 4096).frames())[0].astype(int)
    assert np.abs(first - load_picture(still, 4096)).max() <= 4


def test_the_still_that_stands_for_an_animation_is_no_frame_of_it(tmp_path: Path) -> None:
    first, *rest = frames()
    path = tmp_path / "a.png"
    first.save(path, save_all=True, append_images=rest, default_image=True, duration=50)
    animation = Animation(path, 4096)
    pixels = list(animation.frames())
    assert len(pixels) == animation.n_frames == len(rest)
    assert pixels[0][0, 40, 45].tolist() == [220, 60, 30]


def test_a_frame_that_asks_for_no_time_gets_the_usual_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gif", duration=0)
    animation = Animation(path, 4096)
    assert len(list(animation.frames())) == 5
    assert animation.durations_ms == [100.0] * 5


def test_large_frames_are_reduced_and_turned_as_stills_are(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "a.webp", lossless=True, exif=exif.tobytes())
    assert next(Animation(path, 80).frames()).shape == (1, 80, 56, 3)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_animation_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **KINDS[name])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError) as caught:
        extracted(path, tmp_path)
    assert caught.value.hint


def test_the_colours_of_an_animation_are_converted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avif", **KINDS["a.avif"])
    data = path.read_bytes()
    assert b"colrnclx" in data
    path.write_bytes(data.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x0c\0\x0d"))
    plain = next(Animation(write(tmp_path / "b.avif", **KINDS["a.avif"]), 4096).frames())
    wide = next(Animation(path, 4096).frames())
    # What Display P3 calls so is a stronger red.
    assert wide[0, 40, 35, 0] > plain[0, 40, 35, 0] + 5
