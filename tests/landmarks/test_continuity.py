"""One face through time."""

import numpy as np

from thvideo.landmarks.continuity import (
    Face,
    has_drifted,
    interpolate_boxes,
    is_same_face,
    link,
    match,
    may_be_next,
)


def box(x: float, y: float = 50, side: float = 40, roll: float = 0) -> np.ndarray:
    return np.array([x, y, side, roll], dtype=np.float32)


def face(x: float, side: float = 40) -> Face:
    return Face(box(x, side=side), np.zeros((70, 2), np.float32), 0.9)


def test_the_nearest_face_is_the_same_one():
    assert match(box(50), np.stack([box(75), box(55), box(40)])) == 1


def test_a_face_too_far_off_or_of_another_size_is_not_the_same():
    assert match(box(50), np.stack([box(95)])) is None
    assert not is_same_face(box(50), box(50, side=80))
    assert match(box(50), np.zeros((0, 4), np.float32)) is None


def test_whoever_a_face_may_become_in_two_key_frames_may_be_next():
    rng = np.random.default_rng(0)

    def moved(start: np.ndarray) -> np.ndarray:
        away = rng.uniform(-1, 1, 2) * start[2]
        return np.array([*(start[:2] + away), start[2] * rng.uniform(0.5, 2), 0], np.float32)

    start = box(50)
    reached = 0
    for middle in (moved(start) for _ in range(500)):
        end = moved(middle)
        in_two = is_same_face(start, middle) and is_same_face(middle, end)
        if in_two or is_same_face(start, end, n_frames_lost=6):
            reached += 1
            assert may_be_next(start, end[None])[0]
    assert reached > 50


def test_what_is_far_off_or_of_another_size_is_not_next():
    others = np.stack([box(60), box(50, side=10), box(50, side=200), box(150)])
    assert may_be_next(box(50), others).tolist() == [True, False, False, False]


def test_a_face_lost_for_longer_may_have_gone_farther():
    assert not is_same_face(box(50), box(85))
    assert is_same_face(box(50), box(85), n_frames_lost=10)
    assert not is_same_face(box(50), box(150), n_frames_lost=1000)


def test_an_unknown_box_is_nobodys():
    assert not is_same_face(box(50), np.full(4, np.nan, np.float32))


def test_faces_of_key_frames_are_linked_across_a_missing_one():
    tracks = link({0: [face(50), face(150)], 6: [face(155)], 12: [face(60), face(160)]})
    keys = sorted(
        (sorted(t.faces), [float(f.box[0]) for _, f in sorted(t.faces.items())]) for t in tracks
    )
    assert keys == [([0, 6, 12], [150, 155, 160]), ([0, 12], [50, 60])]


def test_boxes_are_interpolated_with_the_roll_the_short_way_round():
    keys = np.stack([box(0, 0, 10, 3.1), box(6, 12, 40, -3.1)])
    middle = interpolate_boxes([0, 6], keys, [3])[0]
    np.testing.assert_allclose(middle[:3], [3, 6, 20], atol=1e-4)
    assert abs(abs(middle[3]) - np.pi) < 1e-3


def test_boxes_are_held_at_the_ends_and_unknown_ones_passed_over():
    keys = np.stack([np.full(4, np.nan), box(10), np.full(4, np.nan), box(20)])
    boxes = interpolate_boxes([0, 6, 9, 12], keys, [0, 6, 9, 12, 14])
    np.testing.assert_allclose(boxes[:, 0], [10, 10, 15, 20, 20])
    assert np.isnan(interpolate_boxes([0], keys[:1], [0, 1])).all()


def test_drift_is_seen_in_place_size_and_roll():
    used = np.stack([box(50)] * 4)
    seen = np.stack([box(52), box(60), box(50, side=60), box(50, roll=0.5)])
    assert has_drifted(used, seen).tolist() == [False, True, True, True]
