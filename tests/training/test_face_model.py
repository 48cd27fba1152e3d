"""Deriving the mean face."""

import numpy as np

from thvideo.landmarks.pose import Pose, face_model, project, rotation_from_angles
from thvideo.training.face_model import factorise, normalised


def test_factorising_views_of_a_face_gives_that_face_back() -> None:
    rng = np.random.default_rng(2)
    face = normalised(face_model() * np.array([1.08, 0.95, 1.2]))
    clips = []
    for _ in range(4):
        angles = rng.uniform([-35, -20, -10], [35, 20, 10], (15, 3))
        pose = Pose(
            rotation_from_angles(angles), rng.uniform(60, 90, 15), rng.uniform(0, 99, (15, 2))
        )
        clips.append(project(face, pose) + rng.normal(0, 0.3, (15, 70, 2)))
    found, residual = factorise(clips)
    assert np.abs(found - face).max() < 0.05
    assert residual < 0.01
