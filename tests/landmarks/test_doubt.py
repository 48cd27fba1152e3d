"""The landmark check."""

import numpy as np
import pytest

from tests.landmarks.made_faces import face_at
from thvideo.landmarks.doubt import NO_FACE, SURE, face_doubt
from thvideo.landmarks.pose import Pose, face_model, project, rotation_from_angles

CLEAR = 0.99


def posed(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The mean face as it stands, ``[1, 70, 2]``."""
    rotation = rotation_from_angles(np.array([[yaw, pitch, roll]], float))
    return project(face_model(), Pose(rotation, np.array([80.0]), np.array([[300.0, 200.0]])))


def doubt_of(points: np.ndarray, confidence: float = CLEAR) -> float:
    return float(face_doubt(points.astype(np.float32), np.array([confidence]), CLEAR)[0])


@pytest.mark.parametrize("roll", [0, 60, 90, 180, -120])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-20, 15)])
def test_a_face_is_sure_however_it_stands_and_leans(yaw, pitch, roll):
    assert doubt_of(posed(yaw, pitch, roll)) < 0.3


def test_a_made_face_and_one_without_irises_are_sure():
    points = face_at(80, 60, 50)[None]
    assert doubt_of(points) < SURE
    points[:, 68:] = np.nan
    assert doubt_of(points) < SURE


def test_a_bent_face_is_doubted_more_the_more_it_is_bent():
    points, around = posed(0, 0, 0), np.array([300.0, 200.0])
    doubts = []
    for shear in (0.0, 0.3, 0.6):
        bent = (points - around) @ np.array([[1, 0], [shear, 1]]) + around
        # Bent alone it could be a face that is turned; its mouth is swept aside too.
        bent[:, 48:68, 0] += 60 * shear
        doubts.append(doubt_of(bent))
    assert doubts == sorted(doubts)
    assert doubts[0] < SURE < doubts[1]


def test_a_face_upside_down_read_as_upright_is_no_face():
    points = posed(0, 0, 0)
    swapped = points.copy()
    swapped[:, 48:68, 1] -= 110  # the mouth where the brows are
    assert doubt_of(swapped) > NO_FACE


def test_ten_times_less_sure_is_two_doubts_more():
    sure, less = doubt_of(posed(0, 0, 0)), doubt_of(posed(0, 0, 0), 0.9)
    assert less - sure == pytest.approx(2, abs=0.05)


def test_points_that_are_unknown_are_no_face():
    points = np.concatenate([posed(0, 0, 0), posed(0, 0, 0)]).astype(np.float32)
    points[1, 8] = np.nan
    doubts = face_doubt(points, np.array([CLEAR, CLEAR], np.float32), CLEAR)
    assert doubts[0] < SURE
    assert doubts[1] == np.inf
