"""Figures of motion, on made faces whose motion is known."""

from pathlib import Path

import numpy as np
import pytest

from tests.landmarks.made_faces import unit_face
from thvideo.evaluation.motion import (
    correlation,
    find_points,
    follows,
    jitter,
    landmark_error,
    landmark_errors,
    track_near,
)
from thvideo.landmarks.bundled import BundledTracker
from thvideo.training.dataset import ClipTable, read_frames, read_labels

N_FRAMES = 24


def _faces(*, opening: float = 0.0, side: float = 0.0, seed: int = 0) -> np.ndarray:
    """Landmarks ``[T, 70, 2]`` of a mouth that opens and closes; a face that is drawn sideways."""
    rng = np.random.default_rng(seed)
    phase = np.linspace(0, 4 * np.pi, N_FRAMES)
    points = np.repeat(unit_face()[None], N_FRAMES, axis=0)
    lower = [*range(55, 60), *range(65, 68)]
    points[:, lower, 1] += opening * (1 + np.sin(phase))[:, None]
    points[:, :, 0] += side * np.cos(phase)[:, None]
    return (points * 60 + 100 + rng.normal(0, 0.02, points.shape)).astype(np.float32)


def test_a_mouth_that_does_the_same_follows_whatever_its_size() -> None:
    driver = _faces(opening=0.1)
    assert follows(driver, driver)["mouth"] == pytest.approx(1)
    weaker = _faces(opening=0.05, seed=1) * 1.5 + 20
    assert follows(weaker, driver)["mouth"] > 0.98
    # A correlation does not see that only half of it is left.
    assert follows(driver, driver)["mouth_gain"] == pytest.approx(1)
    assert follows(weaker, driver)["mouth_gain"] == pytest.approx(0.5, abs=0.03)
    against = driver[::-1]
    assert follows(against, driver)["mouth"] < -0.9


def test_a_face_that_does_not_move_follows_nothing() -> None:
    still = np.repeat(_faces()[:1], N_FRAMES, axis=0)
    assert follows(still, _faces(opening=0.1))["mouth"] == pytest.approx(0, abs=1e-6)


def test_a_head_that_goes_half_as_far_has_half_the_gain() -> None:
    driver, drawn = _faces(side=0.4), _faces(side=0.2, seed=1)
    found = follows(drawn, driver)
    assert found["place"] > 0.98
    assert found["place_gain"] == pytest.approx(0.5, abs=0.03)
    assert "place_x" not in found
    assert "place_x_gain" not in found


def test_what_the_driver_does_not_do_is_not_judged() -> None:
    assert "mouth" not in follows(_faces(opening=0.1), _faces())
    assert "blink" not in follows(_faces(opening=0.1), _faces(opening=0.1))


def test_frames_without_a_face_are_left_out() -> None:
    driver = _faces(opening=0.1)
    holes = driver.copy()
    holes[3:6] = np.nan
    assert follows(holes, driver)["mouth"] == pytest.approx(1)
    holes[3:] = np.nan
    assert follows(holes, driver) == {}
    assert landmark_error(holes, driver) == 0


def test_jitter_is_the_mean_acceleration_within_runs() -> None:
    points = np.repeat(unit_face()[None], 6, axis=0) * 60
    eyes = np.linalg.norm(points[0, 45] - points[0, 36])
    even = points + np.arange(6)[:, None, None]
    assert jitter(even, [0]) == pytest.approx(0, abs=1e-5)
    shaken = points.copy()
    shaken[::2, :, 0] += 1
    assert jitter(shaken, [0]) == pytest.approx(2 / eyes, rel=1e-3)
    jumped = points.copy()
    jumped[3:] += 50
    assert jitter(jumped, [0]) > 0.5
    assert jitter(jumped, [0, 3]) == pytest.approx(0, abs=1e-5)
    assert np.isnan(jitter(points, [0, 2, 4]))


class _CountingTracker:
    name = "counting"

    def __init__(self) -> None:
        self.n_frames = 0

    def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
        raise AssertionError("nothing is searched for")

    def landmarks(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.n_frames += len(frames)
        return np.repeat(_faces()[:1], len(frames), axis=0), np.ones(len(frames), np.float32)


def test_a_copied_picture_is_tracked_once() -> None:
    tracker = _CountingTracker()
    frames, near = np.zeros((5, 64, 64, 3), np.uint8), np.repeat(_faces()[:1], 5, axis=0)
    assert find_points(tracker, frames, near).shape == (5, 70, 2)
    assert tracker.n_frames == 2  # a first look and a second
    frames[2] = 9
    find_points(tracker, frames, near)
    assert tracker.n_frames == 12


def _points(n_frames: int) -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 100, (n_frames, 70, 2)).astype(np.float32)
    points[:, 36], points[:, 45] = (30, 50), (70, 50)
    return points


def test_landmark_error_is_in_outer_eye_distances_over_known_points() -> None:
    wanted = _points(3)
    found = wanted + np.array([3, 4], np.float32)
    found[1, 68:] = np.nan
    found[2] = np.nan
    np.testing.assert_allclose(landmark_errors(found, wanted), [0.125, 0.125, np.nan], rtol=1e-5)


def test_correlation_is_numpys_and_leaves_unknown_frames_out() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=50).astype(np.float32)
    b = (a + rng.normal(size=50)).astype(np.float32)
    wanted = np.corrcoef(a[1:], b[1:])[0, 1]
    a[0] = np.nan
    assert correlation(a, b) == pytest.approx(wanted, rel=1e-6)
    assert correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(correlation(a, np.ones_like(a)))
    assert np.isnan(correlation(a[:2], b[:2]))


def test_the_tracker_sees_true_frames_near_their_points_and_moved_ones_far(
    shared_data: Path,
) -> None:
    row = next(row for row in ClipTable(shared_data) if row.kind == "real")
    chosen = [0, row.n_frames // 2]
    frames = read_frames(shared_data, row, chosen)
    points = read_labels(shared_data, row).points[chosen]
    tracker = BundledTracker()
    near = landmark_errors(track_near(tracker, frames, points), points)
    moved = np.roll(frames, 12, axis=2)
    far = landmark_errors(track_near(tracker, moved, points), points)
    shift = 12 / np.linalg.norm(points[:, 45] - points[:, 36], axis=-1)
    assert (near < 0.06).all()
    np.testing.assert_allclose(far, shift, atol=0.06)
