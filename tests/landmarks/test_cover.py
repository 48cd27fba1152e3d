"""Frames whose mouth is behind something are noticed, and others are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.landmarks.covers import cup, over_an_eye, over_the_mouth, paper, sunglasses
from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.cover import covered_frames
from thvideo.landmarks.pose import Pose, face_model, project, rotation_yaw_pitch
from thvideo.landmarks.tracker import box_from_detection, box_from_points
from thvideo.video.probe import probe
from thvideo.video.read import read_frames

DRIVER = Path(__file__).resolve().parents[2] / "examples" / "driver.mp4"
#: The frames of 12 that something is painted into.
HIDDEN = slice(4, 9)


@pytest.fixture(scope="module")
def tracker() -> BundledTracker:
    return BundledTracker("cpu", "fp32")


@pytest.fixture(scope="module")
def clip(tracker: BundledTracker) -> tuple[np.ndarray, np.ndarray]:
    """Every fourth frame of the example driver, 12 in all, and their landmarks."""
    frames = np.concatenate(list(read_frames(DRIVER, probe(DRIVER), stop=48)))[::4]
    boxes = np.stack([box_from_detection(found[0]) for found in tracker.detect(frames)])
    rough, _ = tracker.landmarks(frames, boxes)
    points, _ = tracker.landmarks(frames, box_from_points(rough))
    return frames, points


def covered_in(
    tracker: BundledTracker,
    clip: tuple[np.ndarray, np.ndarray],
    draw: Callable[[np.ndarray, np.ndarray], None] | None,
) -> list[int]:
    frames, points = clip[0].copy(), clip[1]
    if draw is not None:
        for frame, face in zip(frames[HIDDEN], points[HIDDEN], strict=True):
            draw(frame, face)
    seen, _, log_odds = tracker.observe(frames, box_from_points(points))
    return np.flatnonzero(covered_frames(log_odds, seen, ())).tolist()


@pytest.mark.parametrize("draw", [over_the_mouth, cup, paper])
def test_what_hides_the_mouth_is_noticed_in_just_its_frames(tracker, clip, draw) -> None:
    assert covered_in(tracker, clip, draw) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("draw", [None, over_an_eye, sunglasses])
def test_a_mouth_that_shows_is_not_covered(tracker, clip, draw) -> None:
    assert covered_in(tracker, clip, draw) == []


def test_what_is_covered_in_most_of_a_shot_passes_for_usual(tracker, clip) -> None:
    frames, points = clip[0].copy(), clip[1]
    for frame, face in zip(frames[:10], points[:10], strict=True):
        over_the_mouth(frame, face)
    seen, _, log_odds = tracker.observe(frames, box_from_points(points))
    assert not covered_frames(log_odds, seen, ()).any()


def test_a_moment_is_no_cover_and_its_begin_and_end_belong_to_it(clip) -> None:
    points = np.repeat(clip[1][:1], 30, axis=0)
    log_odds = np.full(30, -8.0, np.float32)
    log_odds[4:6] = 5
    log_odds[14:20] = 5
    log_odds[16] = -6  # a moment between does not uncover it
    log_odds[[13, 20, 21]] = -4
    assert np.flatnonzero(covered_frames(log_odds, points, ())).tolist() == list(range(13, 22))


def test_a_face_that_is_somewhat_unsure_throughout_is_not_covered(clip) -> None:
    log_odds = np.full(30, -6.0, np.float32)
    log_odds[15:] = 0.8  # grey, dark or blurred
    assert not covered_frames(log_odds, np.repeat(clip[1][:1], 30, axis=0), ()).any()


def test_shots_are_judged_apart_and_frames_without_a_face_are_left_out(clip) -> None:
    points = np.repeat(clip[1][:1], 40, axis=0)
    log_odds = np.full(40, -8.0, np.float32)
    log_odds[20:] = 1.0  # another person, whose mouth is always unsure
    log_odds[8:12] = 2.0
    points[10], log_odds[30] = np.nan, np.nan
    assert np.flatnonzero(covered_frames(log_odds, points, (20,))).tolist() == [8, 9, 11]


def test_a_head_that_is_turned_away_is_not_covered(clip) -> None:
    log_odds = np.full(12, -8.0, np.float32)
    log_odds[HIDDEN] = 5
    turned = rotation_yaw_pitch(np.full(12, 50.0), np.zeros(12))
    profile = project(face_model(), Pose(turned, np.full(12, 80.0), np.full((12, 2), 200.0)))
    assert not covered_frames(log_odds, profile, ()).any()
    assert covered_frames(log_odds, clip[1], ()).any()


def test_a_real_hand_is_noticed_for_as_long_as_it_hides_the_mouth(tracker, shared_data) -> None:
    path = shared_data / "drivers" / "expressions_23976fps.mp4"
    frames = np.concatenate(list(read_frames(path, probe(path), stop=160)))[::10]
    boxes = np.stack([box_from_detection(found[0]) for found in tracker.detect(frames)])
    seen, _, log_odds = tracker.observe(frames, boxes)
    covered = covered_frames(log_odds, seen, ())
    assert covered[7:14].all() and not covered[:6].any()
