"""Landmark adaptation: whose face it is and whose motion."""

from pathlib import Path

import numpy as np
import pytest

from thvideo.landmarks import schema
from thvideo.landmarks.adapt import (
    MAX_SHIFT,
    MAX_TURN_DEG,
    adapt,
)
from thvideo.landmarks.expression import (
    eye_heights,
    lip_gaps,
    measure,
    person_shape,
    single_shape,
)
from thvideo.landmarks.move import AdaptSettings, soft_limit
from thvideo.landmarks.pose import (
    Pose,
    angles_deg,
    face_model,
    fit_pose,
    project,
    rotation_from_angles,
)
from thvideo.landmarks.rest import most_neutral
from thvideo.shapes import F64Array

N_FRAMES = 60
BLINK, WIDE_MOUTH, LOOK = slice(20, 23), slice(34, 40), slice(46, 50)


def rested() -> F64Array:
    """A mean face with closed lips."""
    face = face_model().copy()
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        face[[upper, lower], 1] = face[[upper, lower], 1].mean()
    return face


def performance(face: F64Array, angles: F64Array | None = None) -> F64Array:
    """A driver who blinks, opens the mouth, looks aside and turns the head."""
    time = np.arange(N_FRAMES)
    faces = np.repeat(face[None], N_FRAMES, axis=0)
    for upper, lower in (((37, 38), (41, 40)), ((43, 44), (47, 46))):
        faces[BLINK, upper, 1] = faces[BLINK, lower, 1] - 0.005
    faces[WIDE_MOUTH, 65:68, 1] += 0.2
    faces[WIDE_MOUTH, 55:60, 1] += 0.2
    faces[WIDE_MOUTH, 5:12, 1] += 0.2
    faces[LOOK, schema.IRISES, 0] += 0.05
    if angles is None:
        angles = np.stack([8 * np.sin(time / 9), 5 * np.sin(time / 7), 0 * time], axis=-1)
    pose = Pose(
        rotation_from_angles(angles),
        np.full(N_FRAMES, 90.0),
        np.tile([200.0, 220.0], (N_FRAMES, 1)),
    )
    return project(faces, pose)


def neutral_frame(points: F64Array) -> int:
    """The frame that relative motion starts from."""
    face, pose = person_shape(points)
    return most_neutral(points, pose, measure(points, face, pose))


def portrait(
    width: float = 1.0, height: float = 1.0, angles: tuple[float, ...] = (0, 0, 0)
) -> F64Array:
    """A source of other proportions than the driver's."""
    face = rested() * np.array([width, height, 1.0])
    pose = Pose(
        rotation_from_angles(np.array([angles], float)),
        np.array([130.0]),
        np.array([[256.0, 250.0]]),
    )
    return project(face, pose)[0]


def moved(points: F64Array, scale: float, roll_deg: float) -> F64Array:
    """The same performance, filmed by a camera elsewhere."""
    cos, sin = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    turned: F64Array = scale * points @ np.array([[cos, sin], [-sin, cos]]) + [31.0, -12.0]
    return turned


@pytest.mark.parametrize("motion", ["relative", "absolute"])
def test_a_driver_that_is_the_source_gives_the_source_back(motion: str) -> None:
    source = portrait(1.1, 0.95, (12, 4, -6))
    result = adapt(source[None], source, AdaptSettings(motion=motion))  # type: ignore[arg-type]
    np.testing.assert_allclose(result[0], source, atol=0.6)


def test_no_strength_gives_the_source_in_every_frame() -> None:
    source = portrait(0.9, 1.1)
    still = AdaptSettings(pose=0, mouth=0, eyes=0, brows=0, gaze=0)
    result = adapt(performance(rested()), source, still)
    np.testing.assert_allclose(result, np.broadcast_to(source, result.shape), atol=0.1)


@pytest.mark.parametrize("motion", ["relative", "absolute"])
def test_the_face_keeps_its_shape_whoever_drives(motion: str) -> None:
    wide_driver = performance(rested() * [1.25, 0.85, 1.0], np.zeros((N_FRAMES, 3)))
    source = portrait(0.95, 1.08)
    result = adapt(wide_driver, source, AdaptSettings(motion=motion))  # type: ignore[arg-type]

    def proportions(points: F64Array) -> F64Array:
        def distance(a: int, b: int) -> F64Array:
            return np.asarray(np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1))

        eyes = distance(36, 45)
        return (
            np.stack([distance(0, 16), distance(27, 33), distance(39, 42), distance(2, 14)]) / eyes
        )

    change = proportions(result) / proportions(source)[:, None]
    assert np.abs(change - 1).max() < 0.05


def test_a_blink_closes_wide_and_narrow_eyes_alike() -> None:
    for height in (0.7, 1.0, 1.4):
        face = rested()
        for lids in ((37, 38), (43, 44)):
            face[lids, 1] -= (height - 1) * 0.06
        source = project(
            face, Pose(np.eye(3)[None], np.array([130.0]), np.array([[256.0, 250.0]]))
        )[0]
        heights = eye_heights(adapt(performance(rested()), source))
        assert heights[BLINK].max() < 0.02
        np.testing.assert_allclose(np.median(heights), eye_heights(source[None]).mean(), rtol=0.12)


def test_the_mouth_opens_as_the_drivers_does() -> None:
    driver = performance(rested())
    gap = lip_gaps(adapt(driver, portrait(1.1, 1.1)))[:, 1]
    own = lip_gaps(driver)[:, 1]
    assert np.corrcoef(gap, own)[0, 1] > 0.98


def test_a_closed_driver_closes_a_source_with_an_open_mouth() -> None:
    source = portrait()
    source[65:68, 1] += 20
    source[55:60, 1] += 20
    result = adapt(performance(rested()), source)
    assert lip_gaps(result)[:15].max() < 1.5
    assert lip_gaps(result)[WIDE_MOUTH].min() > 12


def test_the_gaze_follows_and_stays_inside_the_eye() -> None:
    result = adapt(performance(rested(), np.zeros((N_FRAMES, 3))), portrait())
    iris = result[:, schema.RIGHT_IRIS, 0]
    assert iris[LOOK].mean() - np.median(iris) > 3
    assert (iris > result[:, 36, 0]).all()
    assert (iris < result[:, 39, 0]).all()


def test_the_neutral_frame_is_neither_a_blink_nor_an_open_mouth_nor_a_side_look() -> None:
    neutral = neutral_frame(performance(rested()))
    for part in (BLINK, WIDE_MOUTH, LOOK):
        assert neutral not in range(N_FRAMES)[part]


def test_a_first_frame_in_mid_blink_does_no_harm() -> None:
    driver = performance(rested())
    late = np.concatenate([driver[BLINK], driver])
    np.testing.assert_allclose(adapt(late, portrait())[3:], adapt(driver, portrait()), atol=1.5)


@pytest.mark.parametrize(("scale", "roll_deg"), [(1.0, 0.0), (2.3, 0.0), (0.5, 0.0), (1.0, 12.0)])
def test_how_the_drivers_camera_stands_does_not_matter(scale: float, roll_deg: float) -> None:
    driver, source = performance(rested()), portrait(1.05, 1.0)
    np.testing.assert_allclose(
        adapt(moved(driver, scale, roll_deg), source), adapt(driver, source), atol=0.5
    )


def test_the_head_turns_by_the_drivers_angle_and_no_further_than_a_warp_can_show() -> None:
    yaw = np.concatenate([np.zeros(30), np.linspace(0, 60, 30)])
    angles = np.stack([yaw, 0 * yaw, 0 * yaw], axis=-1)
    driver, source = performance(rested(), angles), portrait()
    face, _ = single_shape(source)
    turned = angles_deg(fit_pose(adapt(driver, source), face).rotation)[:, 0]
    rest = neutral_frame(driver)
    assert turned[34] - turned[rest] == pytest.approx(yaw[34] - yaw[rest], abs=0.7)
    assert turned.max() <= MAX_TURN_DEG[0] + 0.5
    assert (np.diff(turned[30:]) > -0.3).all()


def test_a_driver_who_walks_through_the_picture_moves_the_head_a_little_only() -> None:
    driver = performance(rested(), np.zeros((N_FRAMES, 3)))
    driver = driver + np.linspace(0, 800, N_FRAMES)[:, None, None] * np.array([1.0, 0.0])
    source = portrait()
    way = np.linalg.norm(adapt(driver, source)[:, 27] - source[27], axis=-1)
    assert way.max() < 1.3 * MAX_SHIFT * schema.outer_eye_distance(source)


def test_after_a_cut_the_head_rests_where_the_source_rests() -> None:
    driver = performance(rested(), np.zeros((N_FRAMES, 3)))
    driver[30:] = 1.7 * driver[30:] + 150
    source = portrait()
    result = adapt(driver, source, cuts=[30])
    assert np.linalg.norm(result[50:, 27] - source[27], axis=-1).max() < 3


def test_another_person_after_a_cut_rests_as_the_source_rests() -> None:
    first = performance(rested(), np.zeros((N_FRAMES, 3)))
    build = rested()
    build[schema.MOUTH, 0] *= 1.25
    build[5:12, 1] += 0.15
    build[17:27, 1] -= 0.06
    build[[37, 38, 43, 44], 1] += 0.03
    turned = np.tile([14.0, -6.0, 4.0], (N_FRAMES, 1))
    second = 0.6 * performance(build, turned) + 90
    source = portrait()
    result = adapt(np.concatenate([first, second]), source, cuts=[N_FRAMES])
    alone = adapt(second, source)
    for frames in (slice(0, 15), slice(N_FRAMES, N_FRAMES + 15)):
        assert np.linalg.norm(result[frames] - source, axis=-1).mean() < 2.0
    np.testing.assert_allclose(result[N_FRAMES:], alone, atol=4)


def test_frames_that_hide_the_face_are_nobodys_rest() -> None:
    driver = performance(rested(), np.zeros((N_FRAMES, 3)))
    hidden = driver.copy()
    seen = np.ones(N_FRAMES, dtype=bool)
    seen[5:19] = False
    # Calm and frontal, but a third longer: what a hand before the mouth looks like.
    hidden[5:19, 3:14, 1] += 30
    hidden[5:19, schema.MOUTH, 1] += 15
    source = portrait()
    np.testing.assert_allclose(
        adapt(hidden, source, seen=seen)[seen], adapt(driver, source)[seen], atol=0.5
    )


@pytest.mark.parametrize("zoom", [1.2, 1.6, 0.6])
def test_a_slow_zoom_is_no_growth_of_the_head(zoom: float) -> None:
    still = np.concatenate([performance(rested())] * 2)
    size = np.linspace(1, zoom, len(still))[:, None, None]
    source = portrait()
    zoomed, plain = (fit_pose(adapt(d, source)) for d in (size * (still - 320) + 320, still))
    np.testing.assert_allclose(zoomed.scale, plain.scale, rtol=0.03)
    way = np.linalg.norm(zoomed.translation - plain.translation, axis=-1)
    assert way.max() < 0.1 * source_size(source)


def test_a_head_that_nears_and_leaves_grows_and_shrinks() -> None:
    driver = np.concatenate([performance(rested())] * 2)
    size = 1 + 0.08 * np.sin(np.linspace(0, 3 * np.pi, len(driver)))[:, None, None]
    grown = fit_pose(adapt(size * (driver - 220) + 220, portrait())).scale
    assert grown.max() / grown.min() > 1.1


def source_size(source: F64Array) -> float:
    return float(fit_pose(source[None]).scale[0])


def test_unknown_irises_look_straight_ahead() -> None:
    driver = performance(rested())
    driver[:, schema.IRISES] = np.nan
    assert np.isfinite(adapt(driver, portrait())).all()


def test_a_frame_that_is_not_finite_is_named() -> None:
    driver = performance(rested())
    driver[7, 10] = np.nan
    with pytest.raises(ValueError, match="frame 7"):
        adapt(driver, portrait())


def test_no_frames_give_no_frames() -> None:
    assert adapt(np.zeros((0, 70, 2)), portrait()).shape == (0, 70, 2)


def test_soft_limits_pass_small_values_and_never_exceed_the_limit() -> None:
    value = np.linspace(-100, 100, 2001)
    limited = soft_limit(value, 20.0)
    np.testing.assert_array_equal(limited[np.abs(value) <= 10], value[np.abs(value) <= 10])
    assert np.abs(limited).max() <= 20
    assert (np.diff(limited) >= 0).all()


def test_real_mouths_and_eyes_are_followed(shared_data: Path) -> None:
    with np.load(shared_data / "portraits" / "points.npz") as stored:
        source = stored["i017"].astype(np.float64)
    for clip in ("p022_0", "p029_0", "p042_0"):
        with np.load(shared_data / "clips" / f"{clip}.npz") as stored:
            driver = stored["points"] / 16.0

        def gap(points: F64Array) -> F64Array:
            size = schema.outer_eye_distance(points)
            return np.asarray(np.linalg.norm(points[:, 62] - points[:, 66], axis=-1) / size)

        result = adapt(driver, source)
        assert np.corrcoef(gap(result), gap(driver))[0, 1] > 0.98
