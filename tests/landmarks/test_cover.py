"""Frames whose mouth is behind something are noticed, and others are not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.cover import covered_frames
from thvideo.landmarks.pose import Pose, face_model, project, rotation_yaw_pitch
from thvideo.landmarks.tracker import box_from_detection, box_from_points
from thvideo.video.probe import probe
from thvideo.video.read import read_frames

DRIVER = Path(__file__).resolve().parents[2] / "examples" / "driver.mp4"
#: The frames of 12 that something is painted into.
HIDDEN = slice(4, 9)

Point = tuple[float, float]


def polygon(frame: np.ndarray, points: list[np.ndarray], colour: tuple[int, int, int]) -> None:
    corners = np.round(np.array(points) * 16).astype(np.int32)
    cv2.fillPoly(frame, [corners], colour, cv2.LINE_AA, 4)


def on_face(points: np.ndarray, face: list[Point]) -> list[np.ndarray]:
    """Places in outer eye distances from amid the eyes, x to the picture's right, y down."""
    across = points[45] - points[36]
    down = np.array([-across[1], across[0]])
    middle = (points[45] + points[36]) / 2
    return [middle + x * across + y * down for x, y in face]


def hand(frame: np.ndarray, points: np.ndarray, middle: Point) -> None:
    """A fist of the face's own colour with four fingers up."""
    x, y = middle
    row, column = np.round(points[29][::-1]).astype(int)
    skin = frame[row, column].astype(int)
    for finger in range(4):
        left = x - 0.5 + 0.25 * finger
        corners = [(left, y + 0.5), (left + 0.24, y + 0.5), (left + 0.24, y - 0.6), (left, y - 0.6)]
        shade = skin * (1 - 0.06 * (finger % 2))
        polygon(frame, on_face(points, corners), tuple(int(value) for value in shade))


def over_the_mouth(frame: np.ndarray, points: np.ndarray) -> None:
    hand(frame, points, (0.0, 1.0))


def over_an_eye(frame: np.ndarray, points: np.ndarray) -> None:
    hand(frame, points, (-0.6, 0.0))


def cup(frame: np.ndarray, points: np.ndarray) -> None:
    corners = [(-0.45, 0.7), (0.45, 0.7), (0.38, 1.7), (-0.38, 1.7)]
    polygon(frame, on_face(points, corners), (235, 232, 225))


def paper(frame: np.ndarray, points: np.ndarray) -> None:
    polygon(
        frame, on_face(points, [(-1.2, 0.4), (1.2, 0.4), (1.2, 2.2), (-1.2, 2.2)]), (240, 240, 236)
    )


def sunglasses(frame: np.ndarray, points: np.ndarray) -> None:
    for x in (-0.42, 0.42):
        corners = [(x - 0.35, -0.15), (x + 0.35, -0.15), (x + 0.3, 0.25), (x - 0.3, 0.25)]
        polygon(frame, on_face(points, corners), (20, 20, 22))


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
