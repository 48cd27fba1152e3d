"""Faces that lie on their side, upside down or far tilted, by the tracker that ships."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.choice import FaceChoice
from thvideo.landmarks.follow import follow
from thvideo.landmarks.schema import outer_eye_distance

PAINTING = Path(__file__).parents[2] / "examples" / "painting.jpg"


@pytest.fixture(scope="module")
def tracker() -> BundledTracker:
    return BundledTracker("cpu", "fp32")


def painting() -> np.ndarray:
    """The painting, small."""
    picture = cv2.cvtColor(cv2.imread(str(PAINTING)), cv2.COLOR_BGR2RGB)
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def turn_of(picture: np.ndarray, angle_deg: float) -> tuple[np.ndarray, tuple[int, int]]:
    """The way ``[2, 3]`` to a canvas that holds the picture turned clockwise, and its size."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1)
    side = int(np.hypot(height, width)) + 1
    matrix[:, 2] += (side - np.array([width, height])) / 2
    return matrix, (side, side)


def turned(picture: np.ndarray, angle_deg: float) -> np.ndarray:
    return cv2.warpAffine(picture, *turn_of(picture, angle_deg), borderValue=(90, 80, 70))


def tracked(frames: np.ndarray, tracker: BundledTracker) -> np.ndarray:
    parts = list(follow([frames], tracker, FaceChoice(), ()))
    return np.concatenate([part.points for part in parts])


@pytest.mark.parametrize("angle_deg", [60, 180, 225, 270])
def test_a_turned_picture_gets_the_landmarks_of_the_upright_one(angle_deg, tracker):
    picture = painting()
    upright = tracked(picture[None], tracker)[0]
    found = tracked(turned(picture, angle_deg)[None], tracker)[0]
    matrix, _ = turn_of(picture, angle_deg)
    off = np.linalg.norm(found - (upright @ matrix[:, :2].T + matrix[:, 2]), axis=-1)
    assert off.mean() < 0.03 * outer_eye_distance(upright)


@pytest.mark.parametrize("angle_deg", [70, 180])
def test_a_driver_that_lies_is_followed_from_its_first_frame(angle_deg, tracker):
    frames = np.stack([turned(np.roll(painting(), i, axis=1), angle_deg) for i in range(13)])
    points = tracked(frames, tracker)
    across = points[:, 45] - points[:, 36]
    rolls_deg = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    np.testing.assert_allclose((rolls_deg - angle_deg + 180) % 360 - 180, 0, atol=10)


def test_a_driver_that_leans_over_until_it_lies_is_followed_to_the_end(tracker):
    angles_deg = np.linspace(0, 110, 44)
    points = tracked(np.stack([turned(painting(), angle) for angle in angles_deg]), tracker)
    across = points[:, 45] - points[:, 36]
    rolls_deg = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    np.testing.assert_allclose(rolls_deg, angles_deg, atol=10)


def test_what_is_detected_upright_is_not_looked_for_turned(tracker, monkeypatch):
    looked: list[tuple[int, ...]] = []
    detect = tracker.detect

    def noted(frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
        looked.append(frames.shape)
        return detect(frames, near)

    monkeypatch.setattr(tracker, "detect", noted)
    tracked(np.stack([painting()] * 14), tracker)
    assert looked == [(3, *painting().shape)]


def test_a_picture_without_a_face_has_none_at_any_turn(tracker):
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (320, 240))
    assert np.isnan(tracked(noise[None], tracker)).all()
