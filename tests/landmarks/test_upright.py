"""Faces that stand, and drivers whose camera lay on its side."""

import numpy as np
import pytest

from tests.landmarks.made_faces import face_at
from thvideo.imaging.turn import points_back
from thvideo.landmarks.adapt import adapt
from thvideo.landmarks.move import AdaptSettings
from thvideo.landmarks.pose import Pose, face_model, project, rotation_from_angles
from thvideo.landmarks.upright import shots_upright, stand

N_FRAMES = 30


def driver() -> np.ndarray:
    """A face that turns and nods, ``[T, 70, 2]``."""
    time = np.arange(N_FRAMES)
    angles = np.stack([8 * np.sin(time / 9), 5 * np.sin(time / 7), 4 * np.sin(time / 5)], axis=-1)
    places = np.tile([150.0, 140.0], (N_FRAMES, 1)) + time[:, None]
    return project(face_model(), Pose(rotation_from_angles(angles), np.full(30, 60.0), places))


def test_faces_on_their_side_or_upside_down_do_not_stand():
    upright = driver().astype(np.float32)
    for quarter in (0, 1, 2, 3):
        lying = points_back(upright, quarter, (400, 300)).astype(np.float32)
        assert (stand(lying) == (quarter == 0)).all()
    assert not stand(np.full((1, 70, 2), np.nan, np.float32)).any()


def test_upright_shots_stay_as_they_are():
    points = driver()
    assert shots_upright(points, (7,)) is points


@pytest.mark.parametrize("motion", ["relative", "absolute"])
@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_driver_that_lies_moves_the_source_as_one_that_stands(motion, quarter):
    points, source = driver(), face_at(100, 110, 80)
    lying = points_back(points, quarter, (400, 300))
    settings = AdaptSettings(motion)
    np.testing.assert_allclose(
        adapt(lying, source, settings), adapt(points, source, settings), atol=0.2
    )


def test_a_camera_that_is_laid_down_between_two_shots_changes_nothing():
    points, source = driver(), face_at(100, 110, 80)
    half = points.copy()
    half[15:] = points_back(points[15:], 1, (400, 300))
    np.testing.assert_allclose(
        adapt(half, source, cuts=(15,)), adapt(points, source, cuts=(15,)), atol=0.2
    )
