"""What the landmarks are."""

import numpy as np

from tests.landmarks.made_faces import unit_face
from thvideo.landmarks import schema


def test_the_groups_cover_every_point_once():
    groups = [
        schema.JAW, schema.RIGHT_BROW, schema.LEFT_BROW, schema.NOSE, schema.RIGHT_EYE,
        schema.LEFT_EYE, schema.OUTER_LIP, schema.INNER_LIP, schema.IRISES,
    ]  # fmt: skip
    order = np.arange(schema.N_POINTS)
    np.testing.assert_array_equal(np.concatenate([order[group] for group in groups]), order)


def test_flipping_twice_changes_nothing():
    points = np.random.default_rng(0).uniform(0, 100, (3, 70, 2))
    twice = schema.flip_points(schema.flip_points(points, 90), 90)
    np.testing.assert_allclose(twice, points, atol=1e-9)


def test_a_symmetric_face_is_its_own_mirror():
    face = unit_face() * 40 + (49.5, 50)
    np.testing.assert_allclose(schema.flip_points(face, 100), face, atol=1e-9)


def test_the_persons_right_is_on_the_left_of_the_picture():
    face = unit_face()
    for right, left in (
        (schema.RIGHT_EYE, schema.LEFT_EYE),
        (schema.RIGHT_BROW, schema.LEFT_BROW),
    ):
        assert face[right, 0].max() < face[left, 0].min()
    assert face[schema.RIGHT_IRIS, 0] < face[schema.LEFT_IRIS, 0]


def test_real_faces_keep_their_order_when_mirrored(shared_data):
    with np.load(shared_data / "portraits" / "points.npz") as data:
        faces = np.stack([data[name] for name in data.files]).astype(np.float64)
    faces -= faces.mean(axis=1, keepdims=True)
    faces /= schema.outer_eye_distance(faces)[:, None, None]
    # One face looks aside, the mean of many looks ahead: its mirror lies on itself.
    mean = np.median(faces, axis=0)
    assert np.abs(schema.flip_points(mean, 1.0) - mean).max() < 0.12


def test_the_eye_distance_has_one_value_for_every_face():
    faces = np.stack([unit_face(), 2 * unit_face()])[:, None]
    np.testing.assert_allclose(schema.outer_eye_distance(faces), [[0.68], [1.36]])
