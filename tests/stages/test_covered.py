"""A mouth that is covered for a third of the clip: its frames are gaps, the others undisturbed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.landmarks.covers import over_the_mouth
from tests.stages.conftest import Runner
from thvideo.errors import InputError
from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.landmarks.tracked import Tracked, load_tracked
from thvideo.landmarks.tracker import box_from_detection
from thvideo.pipeline.events import NodeNotice
from thvideo.video.probe import probe
from thvideo.video.read import read_frames
from thvideo.video.write import write_crop_chunk
from thvideo.workspace.store import Workspace

#: The frames of 48 whose mouth is hidden, and others that no filter draws towards them.
HIDDEN = slice(16, 32)
BEFORE, AFTER = slice(0, 12), slice(36, 48)


@dataclass(frozen=True)
class Result:
    """What a run made: the driver's face, the points that were drawn, and its notices."""

    tracked: Tracked
    drawn: np.ndarray
    notices: str


def distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - others, axis=-1)


def height(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, 8] - points[:, 27], axis=-1)


@pytest.fixture
def run(reenact: Runner, tmp_path: Path) -> Callable[..., Result]:
    def run(driver: Path, **options: object) -> Result:
        """Run in a workspace of its own, where each artifact is the only one of its kind."""
        place = Workspace(tmp_path / f"ws{len(list(tmp_path.iterdir()))}")
        output = place.root.with_suffix(".mp4")
        told = reenact(
            output, driver=driver, workspace=place.root, generator="warp", max_side=320, **options
        )
        (track,) = (m for m in place.manifests("track") if m.facts["kind"] == "video")
        (reenacted,) = place.manifests("reenact")
        tracked = load_tracked(place.artifact_folder("track", track.key) / "landmarks.npz")
        with np.load(place.artifact_folder("reenact", reenacted.key) / "adapted.npz") as adapted:
            drawn = adapted["points"]
        notices = " ".join(event.text for event in told if isinstance(event, NodeNotice))
        return Result(tracked, drawn, notices)

    return run


@dataclass(frozen=True)
class Clips:
    """The same frames with the mouth in sight and with a hand before it."""

    clear: Path
    covered: Path


@pytest.fixture(scope="module")
def clips(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder = tmp_path_factory.mktemp("covered")
    clips = Clips(folder / "clear.mkv", folder / "covered.mkv")
    frames = np.concatenate(list(read_frames(driver, probe(driver))))
    write_crop_chunk(clips.clear, [frames], len(frames))
    tracker = BundledTracker("cpu", "fp32")
    hidden = frames[HIDDEN]
    boxes = np.stack([box_from_detection(found[0]) for found in tracker.detect(hidden)])
    points, _ = tracker.landmarks(hidden, boxes)
    for frame, face in zip(hidden, points, strict=True):
        over_the_mouth(frame, face)
    write_crop_chunk(clips.covered, [frames], len(frames))
    return clips


@pytest.mark.parametrize("policy", ["interpolate", "hold"])
def test_a_covered_mouth_is_a_gap_and_leaves_the_other_frames_alone(
    run: Callable[..., Result], clips: Clips, policy: str
) -> None:
    clear, made = run(clips.clear), run(clips.covered, no_face=policy)
    assert clear.tracked.found.all()
    lost = np.flatnonzero(~made.tracked.found)
    assert lost.tolist() == list(range(lost[0], lost[-1] + 1))
    assert (lost[0], lost[-1]) == pytest.approx((16, 31), abs=1)
    n_lost = len(lost)
    assert f"a covered one ({n_lost}), in {n_lost} of 48 frames (1 gap)" in made.notices
    assert f"filled by --no-face {policy}" in made.notices
    seen_px, shown_px = outer_eye_distance(clear.tracked.raw), outer_eye_distance(clear.drawn)
    for others in (BEFORE, AFTER):
        off = distance(made.tracked.raw, clear.tracked.raw)[others] / seen_px.mean()
        assert off.max() < 0.05 and off.mean() < 0.005
        motion = distance(made.drawn - made.drawn[0], clear.drawn - clear.drawn[0])
        off = motion[others] / shown_px.mean()
        assert off.max() < 0.03 and off.mean() < 0.01
        # The driver's calmest frame is hidden, another one is at rest: its head stands otherwise.
        assert height(made.drawn[others]) == pytest.approx(height(clear.drawn[others]), rel=0.06)
    steps = distance(made.drawn[1:], made.drawn[:-1]).max(axis=1)
    usual = distance(clear.drawn[1:], clear.drawn[:-1]).max(axis=1)
    assert steps.max() < 1.5 * usual.max()
    within = steps[lost[0] : lost[-1]]
    assert within.max() < (0.001 if policy == "hold" else 0.02) * shown_px.mean()


def test_a_covered_mouth_is_refused_where_gaps_are(
    run: Callable[..., Result], clips: Clips
) -> None:
    with pytest.raises(InputError, match=r"no uncovered face in frame 1[567] \(0\.6"):
        run(clips.covered, no_face="fail")
