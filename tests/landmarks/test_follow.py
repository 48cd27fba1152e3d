"""Following one face through frames."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.landmarks.made_faces import Square, SquareTracker, paint
from tests.landmarks.real_clips import real_clips
from thvideo.errors import InputError
from thvideo.landmarks.choice import FaceChoice
from thvideo.landmarks.follow import FollowedBatch, follow
from thvideo.landmarks.schema import outer_eye_distance

RED, TEAL = (30, 0), (200, 200)


def follow_all(frames, tracker, choice=None, cuts=(), batch=7, pool=None) -> FollowedBatch:
    def batches() -> Iterator[np.ndarray]:
        for first in range(0, len(frames), batch):
            yield np.stack(frames[first : first + batch])

    choice = choice or FaceChoice()
    parts = list(follow(batches(), tracker, choice, cuts, name="clip.mp4", pool=pool))
    return FollowedBatch(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("points", "confidence", "found", "covered"))
    )  # fmt: skip


def middles(followed: FollowedBatch) -> np.ndarray:
    return (followed.points.min(axis=1) + followed.points.max(axis=1)) / 2


def walk(n_frames: int, **square) -> list[np.ndarray]:
    return [paint([Square(60 + i, 60, 40, **square)]) for i in range(n_frames)]


def test_every_frame_gets_the_landmarks_of_the_moving_face():
    followed = follow_all(walk(40), SquareTracker())
    assert followed.found.all()
    np.testing.assert_allclose(middles(followed)[:, 0], 60 + np.arange(40), atol=0.6)


@pytest.mark.parametrize("batch", [1, 5, 12, 13, 100])
def test_the_batches_frames_come_in_do_not_change_the_result(batch):
    frames = walk(41)
    expected = follow_all(frames, SquareTracker(), cuts=(17,))
    followed = follow_all(frames, SquareTracker(), cuts=(17,), batch=batch)
    np.testing.assert_array_equal(followed.points, expected.points)
    np.testing.assert_array_equal(followed.confidence, expected.confidence)


@pytest.mark.parametrize("n_kept", [1, 2])
def test_going_on_from_a_state_gives_what_one_run_gives(n_kept):
    frames = [paint([] if 20 <= i < 33 else [Square(50 + i, 60, 40)]) for i in range(60)]
    whole = list(follow([np.stack(frames)], SquareTracker(), FaceChoice(), (40,)))
    state = whole[n_kept - 1].state
    rest = np.stack(frames[state.next_frame :])
    again = list(follow([rest], SquareTracker(), FaceChoice(), (40,), state=state))
    for expected, part in zip(whole[n_kept:], again, strict=True):
        np.testing.assert_array_equal(part.points, expected.points)
        np.testing.assert_array_equal(part.found, expected.found)


def test_a_face_that_hardly_moves_is_detected_once_and_looked_at_once_between_key_frames():
    tracker = SquareTracker()
    follow_all(walk(121), tracker)
    assert tracker.n_detected <= 3  # the key frames of the first window
    assert tracker.n_placed <= 121 * (1 + 2 / 6) + 8


def test_a_face_that_has_moved_far_is_detected_anew_on_key_frames():
    tracker = SquareTracker()
    frames = [paint([Square(50 + i // 30 % 2 * 20, 60, 40)]) for i in range(121)]
    followed = follow_all(frames, tracker)
    assert 3 + 4 <= tracker.n_detected <= 121 / 6 + 2
    assert followed.found.all()
    np.testing.assert_allclose(middles(followed)[40:60, 0], 70, atol=1)


@pytest.mark.parametrize(
    ("n_threads", "n_ahead", "n_most"),
    [(0, 9, 13), (2, 9, 13 + 24), (2, 1, 13 + 12), (2, 0, 13)],
    ids=["alone", "threads", "threads and large frames", "threads and the largest frames"],
)
def test_frames_are_not_held_beyond_the_windows_they_belong_to(
    n_threads, n_ahead, n_most, monkeypatch
):
    """With threads, for two windows more; of large frames for one or none."""
    window_bytes = 13 * next(iter(walk(1))).nbytes
    monkeypatch.setattr("thvideo.landmarks.follow._AHEAD_BYTES", n_ahead * window_bytes)
    pulled = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal pulled
        for frame in walk(60):
            pulled += 1
            yield frame[None]

    n_results = 0
    with ThreadPoolExecutor(n_threads) if n_threads else nullcontext() as pool:
        for part in follow(stream(), SquareTracker(), FaceChoice(), (), pool=pool):
            n_results += len(part.found)
            assert pulled - n_results <= n_most
    assert n_results == 60


def test_a_thread_that_looks_beside_changes_nothing_and_what_goes_on_after_it():
    frames = [paint([] if 20 <= i < 33 else [Square(50 + i, 60, 40)]) for i in range(60)]
    alone = list(follow([np.stack(frames)], SquareTracker(), FaceChoice(), (40, 41)))
    with ThreadPoolExecutor(2) as pool:
        beside = list(
            follow([np.stack(frames)], SquareTracker(), FaceChoice(), (40, 41), pool=pool)
        )
    for expected, part in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(part.points, expected.points)
        np.testing.assert_array_equal(part.confidence, expected.confidence)
        for name, value in vars(expected.state).items():
            np.testing.assert_array_equal(getattr(part.state, name), value)


def test_frames_are_looked_at_while_the_next_key_frames_are_searched():
    meeting = threading.Barrier(2)

    class Meeting(SquareTracker):
        def landmarks(self, frames: np.ndarray, boxes: np.ndarray):
            # A window's own frames, and in another thread the first look at the next key frame.
            if len(frames) == 12 or self.is_next_key(frames):
                meeting.wait(20)
            return super().landmarks(frames, boxes)

        def is_next_key(self, frames: np.ndarray) -> bool:
            is_first = len(frames) == 1 and self.n_placed >= 6 and not self.has_met
            self.has_met |= is_first
            return is_first

        has_met = False

    with ThreadPoolExecutor(1) as pool:
        # The second window has fewer frames: nothing is searched while it is looked at.
        followed = follow_all(walk(20), Meeting(), pool=pool)
    assert followed.found.all()


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_face_is_looked_for_everywhere_once_it_is_lost(is_lost):
    asked = []

    class Noting(SquareTracker):
        def detect(self, frames, near=None):
            asked.append(near)
            return super().detect(frames, near)

    frames = [
        paint([] if is_lost and 12 <= i < 22 else [Square(60 if i < 15 else 80, 60, 40)])
        for i in range(40)
    ]
    follow_all(np.stack(frames), Noting())
    # First nobody is known; then there is a box near the window's beginning, or there is none.
    assert asked[0] is None
    assert (asked[1] is None) == is_lost


def test_frames_without_a_face_are_reported_and_the_face_is_found_again():
    frames = [paint([] if 20 <= i < 33 else [Square(80, 60, 40)]) for i in range(60)]
    followed = follow_all(frames, SquareTracker())
    assert np.flatnonzero(~followed.found).tolist() == list(range(20, 33))
    assert np.isnan(followed.points[20:33]).all()
    assert not followed.confidence[20:33].any()


def test_nobody_in_any_frame_gives_no_face_rather_than_an_error():
    followed = follow_all([paint([])] * 20, SquareTracker())
    assert not followed.found.any()


def test_the_person_is_followed_although_another_one_becomes_larger():
    frames = [paint([Square(40, 60, 40, RED), Square(150, 60, 30 + i, TEAL)]) for i in range(48)]
    followed = follow_all(frames, SquareTracker())
    np.testing.assert_allclose(middles(followed)[:, 0], 40, atol=1)


def test_a_face_that_vanishes_is_not_replaced_by_the_neighbour():
    frames = [
        paint([Square(150, 60, 36, TEAL)] + ([Square(60, 60, 44, RED)] if i < 20 else []))
        for i in range(80)
    ]
    followed = follow_all(frames, SquareTracker())
    assert followed.found[:20].all()
    assert not followed.found[20:].any()


def test_a_face_that_flickers_for_a_moment_is_not_chosen():
    frames = [
        paint([Square(60, 60, 30, RED)] + ([Square(150, 60, 60, TEAL)] if i < 2 else []))
        for i in range(30)
    ]
    followed = follow_all(frames, SquareTracker())
    np.testing.assert_allclose(middles(followed)[:, 0], 60, atol=1)


@pytest.mark.parametrize(
    ("choice", "x"),
    [
        (FaceChoice("largest"), 100),
        (FaceChoice("left"), 30),
        (FaceChoice("right"), 170),
        (FaceChoice("index", 0), 100),
        (FaceChoice("index", 1), 170),
        (FaceChoice("index", 2), 30),
    ],
)
def test_the_face_asked_for_is_followed(choice, x):
    frames = [paint([Square(30, 60, 30), Square(100, 60, 50), Square(170, 60, 40)])] * 14
    followed = follow_all(frames, SquareTracker(), choice)
    np.testing.assert_allclose(middles(followed)[:, 0], x, atol=1)


def test_a_number_without_a_face_is_an_error_that_names_the_file():
    with pytest.raises(InputError, match=r"face 2 .* 1 face was found in frame 0 of clip.mp4"):
        follow_all(walk(5), SquareTracker(), FaceChoice("index", 2))


def test_after_a_cut_the_same_person_is_chosen_although_another_is_larger():
    one = [paint([Square(100, 60, 50, RED)])] * 20
    two = [paint([Square(50, 60, 40, RED), Square(150, 60, 60, TEAL)])] * 20
    followed = follow_all(one + two, SquareTracker(), cuts=(20,))
    np.testing.assert_allclose(middles(followed)[20:, 0], 50, atol=1)


def test_a_face_that_the_detector_loses_is_still_followed_by_its_landmarks():
    tracker = SquareTracker()
    frames = walk(12, colour=RED) + [paint([Square(72 + i, 60, 40, TEAL)]) for i in range(30)]
    tracker.blind = {TEAL[0]}
    assert follow_all(frames, tracker).found.all()


def test_a_fast_face_is_followed_by_the_detector_where_its_landmarks_are_unsure():
    class Blurred(SquareTracker):
        def landmarks(self, frames, boxes):
            points, confidence = super().landmarks(frames, boxes)
            confidence[frames[:, 0, 0, 0] == 61] = 0.2
            return points, confidence

    frames = [paint([Square(50 + 4.5 * i, 60, 40)], size=(120, 400)) for i in range(60)]
    for frame in frames[16:21]:
        frame[0, 0, 0] = 61
    followed = follow_all(frames, Blurred())
    assert np.flatnonzero(~followed.found).tolist() == list(range(16, 21))


def test_a_picture_of_one_frame_is_enough():
    followed = follow_all([paint([Square(80, 60, 40)])], SquareTracker())
    assert followed.found.tolist() == [True]
    np.testing.assert_allclose(middles(followed)[0], (80, 60), atol=0.6)


def test_what_convinces_far_less_than_a_face_is_not_chosen_although_it_is_larger():
    class DoubtingTracker(SquareTracker):
        def detect(self, frames, near=None):
            found = super().detect(frames, near)
            for boxes in found:
                boxes[boxes[:, 2] - boxes[:, 0] > 50, 4] = 0.5
            return found

    frame = paint([Square(60, 60, 40), Square(150, 60, 70)])
    for n_frames in (1, 14):
        followed = follow_all([frame] * n_frames, DoubtingTracker())
        np.testing.assert_allclose(middles(followed)[:, 0], 60, atol=1)


def test_a_picture_without_a_face_has_none():
    assert not follow_all([paint([])], SquareTracker()).found.any()


def test_shots_of_one_frame_are_followed():
    followed = follow_all(walk(5), SquareTracker(), cuts=(1, 2, 3, 4))
    assert followed.found.all()


def test_the_bundled_tracker_follows_real_people(shared_data: Path):
    from thvideo.landmarks.bundled import BundledTracker

    tracker = BundledTracker()
    errors = []
    unseen = [row for row in real_clips(shared_data) if row["split"] == "val"]
    for row in unseen[:4]:
        labels = np.load(shared_data / "clips" / f"{row['clip']}.npz")["points"] / 16.0
        capture = cv2.VideoCapture(str(shared_data / "clips" / f"{row['clip']}.mp4"))
        reads = (capture.read()[1] for _ in range(40))
        frames = [cv2.cvtColor(f, cv2.COLOR_BGR2RGB) for f in itertools.islice(reads, 40)]
        followed = follow_all(frames, tracker, batch=16)
        assert followed.found.all(), row["clip"]
        error = np.linalg.norm(followed.points - labels[:40], axis=-1).mean(axis=1)
        # Over the clip's own widest eye distance: a head turned aside has a small one.
        errors.append(np.median(error) / outer_eye_distance(labels).max())
    assert np.median(errors) < 0.04
    assert max(errors) < 0.12
