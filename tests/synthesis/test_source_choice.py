"""Which source crop serves each frame."""

import numpy as np

from tests.synthesis.test_neural import noise, posed
from thvideo.synthesis.source_choice import choose_sources, same_take


def one_take(n_crops: int) -> np.ndarray:
    return np.repeat(noise(), n_crops, axis=0)


def test_one_crop_serves_every_frame() -> None:
    assert choose_sources(one_take(1), posed(0), posed(-20, 0, 20)).tolist() == [0, 0, 0]


def test_the_crop_nearest_in_pose_serves() -> None:
    yaw = np.r_[np.full(30, -20.0), np.full(30, 1.0), np.full(30, 19.0)]
    chosen = choose_sources(one_take(3), posed(0, -20, 20), posed(*yaw))
    assert chosen[:25].tolist() == [1] * 25
    assert chosen[35:55].tolist() == [0] * 20
    assert chosen[65:].tolist() == [2] * 25


def test_a_trembling_pose_between_two_crops_does_not_flicker() -> None:
    yaw = 10 + 1.5 * (-1.0) ** np.arange(60)
    chosen = choose_sources(one_take(2), posed(0, 20), posed(*yaw))
    assert (np.diff(chosen) != 0).sum() == 0


def test_at_a_cut_the_crop_changes_at_once() -> None:
    points = posed(*np.r_[np.zeros(4), np.full(4, 20.0)])
    crops, landmarks = one_take(2), posed(0, 20)
    assert choose_sources(crops, landmarks, points, cuts=[4]).tolist() == [0] * 4 + [1] * 4
    # Without the cut, four frames are not worth a change.
    assert len(set(choose_sources(crops, landmarks, points).tolist())) == 1


def test_a_crop_with_another_background_never_serves() -> None:
    crops = one_take(2)
    crops[1, :60, :12] = 255 - crops[1, :60, :12]
    assert same_take(crops).tolist() == [True, False]
    assert choose_sources(crops, posed(0, 20), posed(20, 20, 20)).tolist() == [0, 0, 0]


def test_no_frames_need_no_crops() -> None:
    assert choose_sources(one_take(2), posed(0, 20), posed(0)[:0]).shape == (0,)
