"""The thorough way to a face."""

import cv2
import numpy as np
import pytest

from tests.landmarks.made_faces import Square, SquareTracker, face_at, paint
from thvideo.landmarks.careful import find_carefully, landmarks_precisely


class PickyTracker(SquareTracker):
    """Detects squares of a certain share of the view only, and upright ones only."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__()
        self.least, self.most = least, most

    def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
        share = [boxes[:, 2:4] - boxes[:, :2] for boxes in super().detect(frames)]
        longest = max(frames.shape[1:3])
        return [
            boxes[[self.least < s.max() / longest < self.most for s in sizes]]
            for boxes, sizes in zip(super().detect(frames), share, strict=True)
        ]


def test_a_face_that_fills_the_picture_is_found():
    frame = paint([Square(60, 60, 110)], (120, 120))
    assert len(PickyTracker(0.1, 0.7).detect(frame[None])[0]) == 0
    found = find_carefully(frame, PickyTracker(0.1, 0.7))
    np.testing.assert_allclose(found[0].box[:3], [60, 60, 110], atol=1)


def test_a_small_face_is_found_in_a_part_of_the_picture():
    frame = paint([Square(420, 330, 40)], (480, 560))
    assert len(PickyTracker(0.1, 0.7).detect(frame[None])[0]) == 0
    found = find_carefully(frame, PickyTracker(0.1, 0.7))
    assert len(found) == 1
    np.testing.assert_allclose(found[0].box[:3], [420, 330, 40], atol=1)


def test_a_face_seen_in_several_views_is_listed_once():
    frame = paint([Square(280, 240, 60), Square(100, 100, 60)], (480, 560))
    assert len(find_carefully(frame, SquareTracker())) == 2


def test_a_turned_face_is_found_where_it_is():
    turn = cv2.getRotationMatrix2D((140, 90), 35, 1.0)
    upright = paint([Square(140, 90, 60)], (200, 240))
    frame = cv2.warpAffine(upright, turn, (240, 200), flags=cv2.INTER_NEAREST)

    class UprightTracker(SquareTracker):
        def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
            found = super().detect(frames)
            # A turned square's bounding box is larger than the square.
            return [boxes[(boxes[:, 2] - boxes[:, 0]) < 70] for boxes in found]

    assert len(UprightTracker().detect(frame[None])[0]) == 0
    found = find_carefully(frame, UprightTracker())
    np.testing.assert_allclose(found[0].box[:2], [140, 90], atol=4)


def test_nothing_is_found_where_nothing_is():
    assert find_carefully(paint([]), SquareTracker()) == []


def test_precise_landmarks_average_what_a_tracker_gets_wrong_at_random():
    frame = paint([Square(80, 60, 50)])
    rng = np.random.default_rng(0)

    class ShakyTracker(SquareTracker):
        def landmarks(self, frames, boxes):
            points, confidence = super().landmarks(frames, boxes)
            noise = rng.normal(0, 0.5, points.shape).astype(np.float32)
            return points + noise, confidence

    rough = np.array([83, 57, 60, 0.1], dtype=np.float32)
    points, confidence = landmarks_precisely(frame, rough, ShakyTracker())
    assert np.std(points[0] - face_at(80, 60, 50)) < 0.3
    assert confidence[0] == pytest.approx(0.95)


def test_precise_landmarks_of_nothing_are_unknown():
    class NothingTracker(SquareTracker):
        def landmarks(self, frames, boxes):
            return np.full((len(frames), 70, 2), np.nan, np.float32), np.zeros(len(frames))

    box = np.array([80, 60, 50, 0], dtype=np.float32)
    points, confidence = landmarks_precisely(paint([]), box, NothingTracker())
    assert np.isnan(points).all()
    assert confidence[0] == 0


def test_a_page_taken_for_a_face_gives_way_to_the_portrait_printed_on_it():
    page = paint([Square(420, 330, 40)], (480, 560))

    class PageTracker(PickyTracker):
        """Takes the whole page for a face, and is fairly sure of it."""

        def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
            if frames.shape[1:3] != page.shape[:2]:
                return super().detect(frames)
            return [np.array([[40, 20, 520, 460, 0.95]], np.float32)] * len(frames)

        def landmarks(self, frames: np.ndarray, boxes: np.ndarray) -> tuple:
            points, confidence = super().landmarks(frames, boxes)
            for row in np.flatnonzero(boxes[:, 2] > 300):
                points[row] = face_at(*boxes[row, :3])
                points[row, 48:68, 0] += 0.2 * boxes[row, 2]
                confidence[row] = 0.9
            return points, confidence

    found = find_carefully(page, PageTracker(0.1, 0.7))
    assert len(found) == 1
    np.testing.assert_allclose(found[0].box[:3], [420, 330, 40], atol=1)
