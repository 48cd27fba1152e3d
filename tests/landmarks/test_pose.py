"""Pose fits against poses that are known."""

import numpy as np
import pytest

from thvideo.landmarks import schema
from thvideo.landmarks.pose import (
    Pose,
    angles_deg,
    face_model,
    fit_pose,
    pose_between,
    project,
    rotation_from_angles,
    rotation_from_vector,
    vector_from_rotation,
)


def known_poses(n: int = 60) -> Pose:
    rng = np.random.default_rng(5)
    angles = rng.uniform([-40, -25, -60], [40, 25, 60], (n, 3))
    return Pose(rotation_from_angles(angles), rng.uniform(40, 300, n), rng.uniform(0, 900, (n, 2)))


def test_the_mean_face_is_symmetric_upright_and_of_unit_eye_distance() -> None:
    face = face_model()
    mirrored = face[schema.FLIP] * [-1, 1, 1]
    np.testing.assert_allclose(face, mirrored, atol=1e-6)
    assert np.linalg.norm(face[45] - face[36]) == pytest.approx(1, abs=1e-5)
    assert face[schema.CHIN, 1] > face[51, 1] > face[30, 1] > face[36, 1] > face[19, 1]


def test_the_mean_face_is_not_hollow() -> None:
    face = face_model()
    assert face[schema.NOSE_TIP, 2] < face[36, 2] < face[0, 2]


def test_fit_recovers_known_poses() -> None:
    pose = known_poses()
    fitted = fit_pose(project(face_model(), pose))
    difference = np.swapaxes(fitted.rotation, 1, 2) @ pose.rotation
    turned = np.degrees(np.linalg.norm(vector_from_rotation(difference), axis=-1))
    assert turned.max() < 0.01
    np.testing.assert_allclose(fitted.scale, pose.scale, rtol=1e-4)
    np.testing.assert_allclose(fitted.translation, pose.translation, atol=0.05)


def test_an_open_mouth_and_raised_brows_do_not_nod_the_head() -> None:
    face = face_model().copy()
    face[5:12, 1] += 0.25
    face[55:60, 1] += 0.25
    face[18:21, 1] -= 0.12
    face[23:26, 1] -= 0.12
    frontal = Pose(np.eye(3)[None], np.array([100.0]), np.zeros((1, 2)))
    fitted = fit_pose(project(face, frontal))
    assert np.abs(angles_deg(fitted.rotation)).max() < 0.5


def test_one_wild_point_hardly_turns_the_head() -> None:
    pose = known_poses()
    points = project(face_model(), pose)
    points[:, 36] += 0.4 * pose.scale[:, None]
    difference = np.swapaxes(fit_pose(points).rotation, 1, 2) @ pose.rotation
    turned = np.degrees(np.linalg.norm(vector_from_rotation(difference), axis=-1))
    assert np.median(turned) < 2


def test_angles_have_the_signs_that_their_names_promise() -> None:
    still = Pose(np.eye(3)[None], np.ones(1), np.zeros((1, 2)))
    nose = project(face_model(), still)[0, schema.NOSE_TIP]
    for angles, moved in (([20, 0, 0], (0, 1)), ([0, 15, 0], (1, -1))):
        turned = Pose(
            rotation_from_angles(np.array([angles], float)), still.scale, still.translation
        )
        axis, sign = moved
        assert np.sign((project(face_model(), turned)[0, schema.NOSE_TIP] - nose)[axis]) == sign
    lean = Pose(rotation_from_angles(np.array([[0.0, 0, 20]])), still.scale, still.translation)
    leaned = project(face_model(), lean)[0]
    assert leaned[45, 1] > leaned[36, 1]


def test_angles_and_rotations_are_inverses() -> None:
    pose = known_poses()
    angles = angles_deg(pose.rotation)
    np.testing.assert_allclose(rotation_from_angles(angles), pose.rotation, atol=1e-12)


def test_a_pose_between_two_begins_at_one_ends_at_the_other_and_leans_apart() -> None:
    start, end = (
        Pose(rotation_from_angles(np.array([angles])), np.array([scale]), np.array([place]))
        for angles, scale, place in (
            ((20.0, -5.0, 10.0), 40.0, (60.0, 70.0)),
            ((-30.0, 12.0, 35.0), 50.0, (80.0, 60.0)),
        )
    )
    none, all_ = np.zeros(1), np.ones(1)
    for shares, wanted in (((none, none), start), ((all_, all_), end)):
        found = pose_between(start, end, *shares)
        for value, right in zip(vars(found).values(), vars(wanted).values(), strict=True):
            np.testing.assert_allclose(value, right, atol=1e-9)
    # Leaning, size and place alone: the same face, turned and moved within the picture.
    leant = project(face_model(), pose_between(start, end, none, all_))[0]
    own = project(face_model(), start)[0]
    sides = [np.linalg.norm(np.diff(points, axis=0), axis=1) for points in (leant, own)]
    np.testing.assert_allclose(sides[0], sides[1] * 50 / 40, rtol=1e-9)


def test_rotation_vectors_and_matrices_are_inverses() -> None:
    vectors = np.random.default_rng(0).normal(0, 0.6, (50, 3))
    np.testing.assert_allclose(
        vector_from_rotation(rotation_from_vector(vectors)), vectors, atol=1e-9
    )
    assert np.abs(vector_from_rotation(np.eye(3)[None])).max() == 0


def test_a_frame_with_unknown_points_is_named() -> None:
    points = project(face_model(), known_poses(3))
    points[1, 36] = np.nan
    with pytest.raises(ValueError, match="frame 1"):
        fit_pose(points)


def test_unknown_irises_do_not_matter() -> None:
    pose = known_poses(3)
    points = project(face_model(), pose)
    points[:, schema.IRISES] = np.nan
    np.testing.assert_allclose(fit_pose(points).scale, pose.scale, rtol=1e-4)


def test_no_frames_give_no_poses() -> None:
    assert len(fit_pose(np.zeros((0, 70, 2)))) == 0


def test_poses_of_real_faces_explain_their_rigid_points(shared_data) -> None:  # type: ignore[no-untyped-def]
    with np.load(shared_data / "clips" / "p066_0.npz") as stored:
        points = stored["points"] / 16.0
    pose = fit_pose(points)
    off = np.linalg.norm(project(face_model(), pose) - points, axis=-1) / pose.scale[:, None]
    rigid = [36, 39, 42, 45, 27, 28, 29, 30, 33]
    assert np.median(off[:, rigid]) < 0.03
