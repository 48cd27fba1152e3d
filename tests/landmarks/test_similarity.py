"""Where a face is, apart from what it does."""

import numpy as np
from skimage.transform import SimilarityTransform

from tests.landmarks.made_faces import face_at
from thvideo.landmarks.similarity import face_similarity, fit_similarity, mean_shape


def test_the_fit_agrees_with_scikit_image():
    rng = np.random.default_rng(0)
    reference, points = rng.normal(size=(20, 2)), rng.normal(size=(3, 20, 2))
    fit = fit_similarity(points, reference)
    for row in range(3):
        # Umeyama's scale is the symmetric one; ours is least squares, like the model here.
        columns = np.zeros((40, 4))
        columns[::2] = np.c_[reference[:, 0], -reference[:, 1], np.ones(20), np.zeros(20)]
        columns[1::2] = np.c_[reference[:, 1], reference[:, 0], np.zeros(20), np.ones(20)]
        a, b, x, y = np.linalg.lstsq(columns, points[row].ravel(), rcond=None)[0]
        assert np.isclose(fit.scale[row], a + 1j * b)
        assert np.isclose(fit.shift[row], x + 1j * y)


def test_a_known_similarity_is_found_and_undone():
    known = SimilarityTransform(scale=1.7, rotation=0.4, translation=(30, -12))
    face = face_at(50, 50, 80)
    moved = known(face)[None]
    fit = face_similarity(moved, face)
    np.testing.assert_allclose(fit.apply(face), moved, atol=1e-9)
    np.testing.assert_allclose(fit.undo(moved)[0], face, atol=1e-9)


def test_the_mouth_does_not_move_the_head():
    face = face_at(50, 50, 80)
    talking = face.copy()
    talking[48:68, 1] += 20
    fit = face_similarity(talking[None], face)
    assert np.isclose(fit.scale[0], 1)
    assert np.isclose(fit.shift[0], 0)


def test_the_mean_shape_ignores_unknown_frames_and_keeps_unknown_points_unknown():
    faces = np.stack([face_at(50 + i, 40, 60) for i in range(5)])
    faces[1] = np.nan
    faces[:, 69] = np.nan
    shape = mean_shape(faces)
    assert np.isnan(shape[69]).all()
    np.testing.assert_allclose(shape[:69] - shape[30], faces[0, :69] - faces[0, 30], atol=1e-6)
    assert np.isnan(mean_shape(np.full((3, 70, 2), np.nan))).all()
