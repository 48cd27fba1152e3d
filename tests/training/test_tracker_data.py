"""Training material of the tracker: labels stay on their faces whatever happens to pictures."""

import numpy as np
import pytest

from thvideo.errors import InputError
from thvideo.landmarks.schema import FLIP
from thvideo.training.spoil import occlude, spoil, texture
from thvideo.training.tracker_data import Face, FaceSampler, read_table
from thvideo.training.tracker_landmarks import draw_box, negative_crop, positive_crop, turned_face
from thvideo.training.tracker_scenes import SceneMaker, place_face, points_box


def _face(group: str = "a") -> Face:
    rng = np.random.default_rng(0)
    points = rng.uniform(80, 180, (70, 2)).astype(np.float32)
    points[36:42] = (95, 110)
    points[42:48] = (165, 112)
    picture = rng.integers(0, 255, (256, 256, 3)).astype(np.uint8)
    return Face(picture, points, group)


def test_mirroring_twice_gives_every_point_back() -> None:
    np.testing.assert_array_equal(FLIP[FLIP], np.arange(70))


def test_a_turned_or_mirrored_face_keeps_the_right_eye_on_the_image_left() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        _, points = turned_face(_face(), rng)
        assert points[36, 0] < points[45, 0]


def test_drawn_boxes_stay_near_the_face() -> None:
    rng = np.random.default_rng(2)
    points = _face().points
    for _ in range(50):
        box = draw_box(points, rng)
        assert 60 < box[2] < 180
        assert np.abs(box[:2] - 130).max() < 45


def test_spoiling_keeps_size_and_type_and_follows_the_generator() -> None:
    picture = _face().picture
    for seed in range(12):
        once = spoil(occlude(picture, np.random.default_rng(seed)), np.random.default_rng(seed))
        again = spoil(occlude(picture, np.random.default_rng(seed)), np.random.default_rng(seed))
        assert once.shape == picture.shape
        assert once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)


def test_textures_have_the_size_asked_for() -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        assert texture(40, 56, rng).shape == (40, 56, 3)


def test_crops_with_a_face_have_points_and_crops_without_have_none() -> None:
    rng = np.random.default_rng(4)
    empty = [texture(200, 300, rng)]
    for _ in range(12):
        assert np.isfinite(positive_crop(_face(), rng).points).all()
        assert np.isnan(negative_crop(_face(), empty, rng).points).all()


def test_a_placed_face_has_the_size_and_centre_asked_for() -> None:
    centre = np.array([100, 90], np.float32)
    _, points = place_face(_face(), 64.0, centre, np.random.default_rng(5))
    box = points_box(points)
    assert (box[2:] - box[:2]).max() == pytest.approx(64, abs=0.01)
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, centre, atol=0.01)


def test_scenes_hold_no_one_and_several_faces() -> None:
    rng = np.random.default_rng(6)
    scenes = SceneMaker(FaceSampler([], [_face()]), [texture(200, 300, rng)], rng)
    counts = {len(scenes.scene().boxes) for _ in range(40)}
    assert {0, 1} < counts


def test_people_with_many_frames_are_not_drawn_more_often() -> None:
    sampler = FaceSampler([_face("a")] * 90 + [_face("b")], [], 0.4)
    rng = np.random.default_rng(7)
    share = np.mean([sampler.draw(rng).group == "b" for _ in range(300)])
    assert 0.4 < share < 0.6


def test_a_missing_table_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"clips\.tsv"):
        read_table(tmp_path / "clips.tsv")
