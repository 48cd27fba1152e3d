"""Control points of the head's warp."""

import cv2
import numpy as np
import pytest

from thvideo.landmarks.control import (
    SPLINE_POINTS,
    border_points,
    control_points,
    head_inside,
    head_outline,
    head_points,
)
from thvideo.landmarks.pose import Pose, face_model, project, rotation_from_angles

SIZE_PX = 256
UPRIGHT = Pose(np.eye(3)[None], np.array([65.0]), np.array([[128.0, 120.0]]))


def test_the_hair_lies_above_the_brows_and_around_the_face() -> None:
    head = head_points(face_model())
    assert (head[:, 1] < face_model()[30, 1]).all()
    assert head[:, 1].min() < face_model()[17:27, 1].min() - 0.8
    assert np.ptp(head[:, 0]) > np.ptp(face_model()[:, 0])


def test_the_outline_of_a_head_holds_face_and_hair_and_little_more() -> None:
    face = project(face_model(), UPRIGHT)[0]
    outline = head_outline(face).astype(np.float32)
    hair = project(head_points(face_model()), UPRIGHT)[0]
    everything = np.concatenate([face, hair])
    for point in everything:
        assert cv2.pointPolygonTest(outline, point.tolist(), measureDist=False) > 0
    assert (np.ptp(outline, axis=0) < 1.25 * np.ptp(everything, axis=0)).all()
    blind = face.copy()
    blind[68:] = np.nan
    assert np.isfinite(head_outline(blind)).all()


def test_the_forehead_turns_with_the_head() -> None:
    turned = Pose(
        rotation_from_angles(np.array([[0.0, 0, 15]])), UPRIGHT.scale, UPRIGHT.translation
    )
    face = face_model()
    rest = control_points(project(face, UPRIGHT), face, UPRIGHT, SIZE_PX)[0]
    moved = control_points(project(face, turned), face, turned, SIZE_PX)[0]
    crown = len(SPLINE_POINTS) + 8
    assert moved[crown, 0] - rest[crown, 0] == pytest.approx(
        -np.sin(np.radians(15)) * (rest[crown, 1] - 120), abs=6
    )


def test_the_border_stays_in_every_frame() -> None:
    face = face_model()
    turns = rotation_from_angles(np.array([[0.0, 0, 0], [20, 10, 5], [-9, 4, 30]]))
    pose = Pose(turns, np.full(3, 65.0), np.tile([128.0, 120.0], (3, 1)))
    controls = control_points(project(face, pose), face, pose, SIZE_PX)
    border = border_points(SIZE_PX)
    np.testing.assert_array_equal(controls[:, -len(border) :], np.stack([border] * 3))
    assert border.min() == 0
    assert border.max() == SIZE_PX - 1


def test_no_two_control_points_coincide_on_a_frontal_face() -> None:
    face = face_model()
    controls = control_points(project(face, UPRIGHT), face, UPRIGHT, SIZE_PX)[0]
    apart = np.linalg.norm(controls[:, None] - controls[None], axis=-1)
    assert apart[~np.eye(len(controls), dtype=bool)].min() > 1.0


def test_hair_at_the_border_stays_and_hair_inside_is_free() -> None:
    places = np.array([[128.0, 2.0], [128.0, 80.0], [-20.0, 100.0]])
    np.testing.assert_array_equal(head_inside(places, SIZE_PX), [0, 1, 0])
