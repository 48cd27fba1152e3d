"""Patches of mouth and eyes: where they lie, what they show, and the way back."""

import cv2
import numpy as np
import pytest

from tests.landmarks.made_faces import unit_face
from thvideo.landmarks import schema
from thvideo.landmarks.patches import (
    LEFT_EYE,
    MOUTH,
    RIGHT_EYE,
    Place,
    covered,
    cut_patch,
    draw_shapes,
    most_open,
    opening,
    patch_frames,
)

PLACES = pytest.mark.parametrize("place", [MOUTH, RIGHT_EYE, LEFT_EYE])


def face(size_px: float = 100, turn_deg: float = 0.0, gap: float = 0.1) -> np.ndarray:
    points = unit_face()
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += gap
    turn = np.radians(turn_deg)
    return size_px * points @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    ) + [120, 130]


def within(points: np.ndarray, frame: np.ndarray) -> np.ndarray:
    return points @ frame[:, :2].T + frame[:, 2]


@PLACES
@pytest.mark.parametrize("size_px, turn_deg", [(100, 0), (37, 0), (100, 25), (240, -70)])
def test_a_patch_shows_the_same_of_a_face_however_large_and_turned(
    place: Place, size_px: float, turn_deg: float
) -> None:
    plain, changed = face(), face(size_px, turn_deg)
    here = within(plain, patch_frames(plain[None], place)[0])
    there = within(changed, patch_frames(changed[None], place)[0])
    np.testing.assert_allclose(there, here, atol=1e-6)
    height, width = place.size
    np.testing.assert_allclose(here[place.centre].mean(axis=0), [(width - 1) / 2, (height - 1) / 2])


def test_outer_eye_corners_are_80_pixels_apart_and_a_left_eye_is_a_right_one_in_a_mirror() -> None:
    points = face()
    of_mouth = within(points, patch_frames(points[None], MOUTH)[0])
    corners = of_mouth[[schema.RIGHT_EYE_OUTER, schema.LEFT_EYE_OUTER]]
    assert np.linalg.norm(corners[0] - corners[1]) == pytest.approx(80)
    right = within(points, patch_frames(points[None], RIGHT_EYE)[0])[schema.RIGHT_EYE]
    left = within(points, patch_frames(points[None], LEFT_EYE)[0])
    np.testing.assert_allclose(left[schema.FLIP][schema.RIGHT_EYE], right, atol=1e-6)


def test_a_turned_heads_mouth_is_not_taken_for_a_large_one() -> None:
    points = face()
    narrow = points.copy()
    narrow[:, 0] = 120 + 0.4 * (points[:, 0] - 120)
    scales = [np.linalg.norm(patch_frames(one[None], MOUTH)[0][:, 0]) for one in (points, narrow)]
    assert scales[1] < 1.6 * scales[0]


@PLACES
def test_shapes_cover_what_they_name_and_nothing_else(place: Place) -> None:
    points = face()
    frame = patch_frames(points[None], place)
    shape = draw_shapes(points[None], frame, place)[0]
    assert shape.shape == (*place.size, 3)
    outline = within(points, frame[0])[place.outlines[0]].astype(np.float32)
    # Half a pixel of its antialiased edge lies outside.
    area = cv2.contourArea(outline) + 0.5 * cv2.arcLength(outline, closed=True)
    assert shape[..., 0].sum() / 255 == pytest.approx(area, rel=0.15)
    # What is inside lips, or the iris between lids, lies inside.
    assert (shape[..., 1] <= shape[..., 0]).mean() > 0.99
    assert shape[..., 2].any()


def test_a_shut_eye_shows_no_iris() -> None:
    points = face()
    points[[37, 38, 40, 41], 1] = points[[36, 39], 1].mean()
    shape = draw_shapes(points[None], patch_frames(points[None], RIGHT_EYE), RIGHT_EYE)[0]
    # A line of antialiased lids is all there is.
    assert shape[..., 1].sum() / 255 < 25


@PLACES
@pytest.mark.parametrize("size_px", [60, 100, 500])
def test_a_patch_is_cut_where_it_lies(place: Place, size_px: float) -> None:
    """Of a picture that says its own place in its colours, however fine it is."""
    points = face(size_px) + size_px
    side = 2 * round(size_px) + 300
    line = np.linspace(0, 255, side)
    picture = np.stack([*np.meshgrid(line, line), np.full((side, side), 7.0)], 2)
    frame = patch_frames(points[None], place)[0]
    cut = cut_patch(picture.round().astype(np.uint8), frame, place)
    _, back = covered(frame, place, picture.shape[:2])
    for x, y in ((10, 8), (40, 30), (50, 20)):
        wanted = back @ [x, y, 1] * 255 / (side - 1)
        assert cut[y, x, :2] == pytest.approx(wanted, abs=1.5)


def test_fine_stripes_become_grey_and_no_other_stripes() -> None:
    points = face(800)
    picture = np.zeros((1200, 1200, 3), np.uint8)
    picture[:, ::2] = 200
    cut = cut_patch(picture, patch_frames(points[None], MOUTH)[0], MOUTH)
    assert np.abs(cut.astype(int) - 100).max() < 40


@pytest.mark.parametrize("centre", [(-900.0, 40.0), (40.0, 5000.0)])
def test_a_face_outside_its_picture_gives_its_edge(centre: tuple[float, float]) -> None:
    points = face() - [120, 130] + centre
    picture = np.full((64, 64, 3), 90, np.uint8)
    cut = cut_patch(picture, patch_frames(points[None], MOUTH)[0], MOUTH)
    assert (cut == 90).all()


def test_the_source_that_shows_most_is_found_for_each_part() -> None:
    faces = np.stack([face(gap=0.05), face(gap=0.3), face(gap=0.0)])
    faces[2, [37, 38], 1] -= 10
    assert most_open(faces, MOUTH) == 1
    assert most_open(faces, RIGHT_EYE) == 2
    assert np.diff(opening(faces, MOUTH)[[2, 0, 1]]).min() > 0.05
