"""The warp generator: what stays, what moves, and what must never be seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from thvideo.draft.folds import FOLDED_SHARE
from thvideo.draft.warp_generator import WarpGenerator
from thvideo.imaging.crop import crop_for_face, take_crop, to_crop
from thvideo.imaging.picture import load_picture
from thvideo.imaging.warp import fetch, least_areas, spline_flow, upsample_flow
from thvideo.landmarks.adapt import adapt
from thvideo.landmarks.pose import (
    Pose,
    angles_deg,
    face_model,
    fit_pose,
    project,
    rotation_from_angles,
)
from thvideo.shapes import F64Array, U8Array

SIZE_PX = 192
CPU = torch.device("cpu")
EYE_UNIT_PX = 50.0


def posed(face: F64Array, *angles: tuple[float, float, float]) -> F64Array:
    turns = rotation_from_angles(np.array(angles, float))
    middle = np.tile([SIZE_PX / 2 - 0.5, SIZE_PX / 2 - 5.0], (len(angles), 1))
    return project(face, Pose(turns, np.full(len(angles), EYE_UNIT_PX), middle))


def closed_face() -> F64Array:
    face = face_model().copy()
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        face[[upper, lower], 1] = face[[upper, lower], 1].mean()
    return face


def shut(points: F64Array) -> F64Array:
    """The same face with the upper lids on the lower ones."""
    points = points.copy()
    points[[37, 38, 43, 44]] = points[[41, 40, 47, 46]]
    return points


def noise_picture() -> U8Array:
    """Smooth coloured noise: every place looks different."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 24, 24, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (SIZE_PX, SIZE_PX), mode="bicubic")
    return (fine[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def source() -> F64Array:
    return posed(closed_face(), (0, 0, 0))[0]


@pytest.fixture(scope="module")
def generator(source: F64Array) -> WarpGenerator:
    return WarpGenerator(noise_picture()[None], source[None], CPU)


def test_landmarks_at_rest_give_the_source_crop_back(
    generator: WarpGenerator, source: F64Array
) -> None:
    drawn = generator.generate(source[None])[0].astype(int)
    assert np.abs(drawn - noise_picture()).max() <= 1


def test_the_border_never_moves(generator: WarpGenerator) -> None:
    drawn = generator.generate(posed(closed_face(), (20, 10, 8), (-18, -12, 0)))
    for edge in ((slice(None), 0), (slice(None), -1), (0, slice(None)), (-1, slice(None))):
        difference = drawn[(slice(None), *edge)].astype(int) - noise_picture()[edge]
        assert np.abs(difference).max() <= 1


def test_batches_of_one_and_of_seven_give_the_same_pixels(generator: WarpGenerator) -> None:
    points = posed(closed_face(), *[(3.0 * i - 9, 2.0 * i - 6, i) for i in range(7)])
    together = generator.generate(points).astype(int)
    alone = np.concatenate([generator.generate(points[i : i + 1]) for i in range(7)])
    assert np.abs(together - alone).max() <= 1


def test_openings_of_heads_far_apart_do_not_draw_over_each_other(
    generator: WarpGenerator, source: F64Array
) -> None:
    blinking = shut(source)
    blinking[68:, 0] += 2.0
    points = blinking + np.array([(-20, 0), (20, 25)])[:, None]
    together = generator.generate(points).astype(int)
    alone = np.concatenate([generator.generate(points[i : i + 1]) for i in range(2)])
    assert np.abs(together - alone).max() <= 1


def test_features_follow_their_landmarks(source: F64Array) -> None:
    for landmark in (30, 36, 57, 8):
        picture = np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8)
        x, y = source[landmark].round().astype(int)
        picture[y - 3 : y + 4, x - 3 : x + 4] = [250, 40, 40]
        points = posed(closed_face(), (9, 6, 5))
        drawn = WarpGenerator(picture[None], source[None], CPU).generate(points)[0].astype(float)
        weight = np.clip(drawn[..., 0] - 90, 0, None) * (drawn[..., 1] < 80)
        rows, columns = np.indices(weight.shape)
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.linalg.norm(found - (points[0, landmark] + [x, y] - source[landmark])) < 2.0


def test_closed_lids_hide_the_eyeball(source: F64Array) -> None:
    picture = np.full((SIZE_PX, SIZE_PX, 3), 180, np.uint8)
    for eye in (slice(36, 42), slice(42, 48)):
        low, high = source[eye].min(axis=0), source[eye].max(axis=0)
        middle = (low + high) / 2
        y, x = int(middle[1]), int(middle[0])
        picture[y, x - 2 : x + 3] = [0, 0, 255]
    generator = WarpGenerator(picture[None], source[None], CPU)

    def blue(points: F64Array) -> int:
        drawn = generator.generate(points[None])[0].astype(int)
        return int((drawn[..., 2] - drawn[..., 0] > 60).sum())

    assert blue(source) >= 8
    assert blue(shut(source)) == 0


def test_a_closed_lid_is_lighter_than_the_lashes_beside_it_and_darker_than_the_cheek(
    source: F64Array,
) -> None:
    picture = np.full((SIZE_PX, SIZE_PX, 3), 200, np.uint8)
    eye = source[36:42]
    (left, top), (right, bottom) = eye.min(axis=0).round().astype(int), eye.max(axis=0).astype(int)
    picture[top - 5 : bottom + 4, left - 2 : right + 3] = 60
    generator = WarpGenerator(picture[None], source[None], CPU)
    drawn = generator.generate(shut(source)[None])[0].astype(int)
    middle = (left + right) // 2
    lid = drawn[(top + bottom) // 2 : bottom - 1, middle - 1 : middle + 2].mean()
    assert 95 < lid < 170
    assert drawn[bottom + 12, middle].tolist() == [200, 200, 200]


def test_an_open_mouth_is_dark_inside_and_grey_in_a_grey_picture(source: F64Array) -> None:
    picture = np.repeat(noise_picture().mean(axis=2, keepdims=True) / 2 + 100, 3, axis=2)
    face = closed_face()
    face[[55, 56, 57, 58, 59, 65, 66, 67, 6, 7, 8, 9, 10], 1] += 0.3
    generator = WarpGenerator(picture.astype(np.uint8)[None], source[None], CPU)
    points = posed(face, (0, 0, 0))
    drawn = generator.generate(points)[0].astype(int)
    x, y = (0.3 * points[0, 62] + 0.7 * points[0, 66]).round().astype(int)
    inside = drawn[y - 1 : y + 2, x - 2 : x + 3]
    assert inside.mean() < 0.65 * picture.mean()
    assert np.abs(drawn - drawn.mean(axis=2, keepdims=True)).max() <= 1.5


def test_the_gaze_moves_the_iris_and_not_the_lids(source: F64Array) -> None:
    picture = np.full((SIZE_PX, SIZE_PX, 3), 200, np.uint8)
    x, y = source[68].round().astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 10
    generator = WarpGenerator(picture[None], source[None], CPU)

    def dark_middle(points: F64Array) -> float:
        drawn = 200 - generator.generate(points[None])[0, ..., 0].astype(float)
        return float((drawn * np.arange(SIZE_PX)).sum() / drawn.sum())

    looking = source.copy()
    looking[68:, 0] += 2.0
    assert dark_middle(looking) - dark_middle(source) == pytest.approx(2.0, abs=0.7)


def test_frames_that_would_fold_are_held_back_smoothly(
    generator: WarpGenerator, source: F64Array
) -> None:
    points = np.repeat(source[None], 50, axis=0)
    points[25, 0:9, 0] += 80
    settled = generator.settle(points)
    assert generator.fold_shares(points)[25] > FOLDED_SHARE
    assert generator.fold_shares(settled).max() <= FOLDED_SHARE
    np.testing.assert_allclose(settled[0], source)

    walking = source + np.linspace(0, 6, 50)[:, None, None] * np.array([1.0, 0])
    np.testing.assert_allclose(generator.settle(walking), walking)


def opened(gap: float) -> F64Array:
    """A face whose lower lip and chin have dropped."""
    face = closed_face()
    face[[55, 56, 57, 58, 59, 65, 66, 67], 1] += gap
    face[[6, 7, 8, 9, 10], 1] += 0.7 * gap
    return face


def test_a_mouth_opens_as_far_as_it_has_to(generator: WarpGenerator) -> None:
    wide = np.concatenate([posed(opened(gap), (0, 0, 0)) for gap in (0.2, 0.4, 0.6)])
    assert generator.fold_shares(wide).max() == 0
    np.testing.assert_allclose(generator.settle(wide), wide)


def test_where_a_turn_is_held_back_the_mouth_is_not(generator: WarpGenerator) -> None:
    def gap(points: F64Array) -> float:
        return float(np.linalg.norm(points[66] - points[62]))

    turned = posed(opened(0.4), *[(45, 0, 0)] * 3)
    settled = generator.settle(turned)
    held = angles_deg(fit_pose(settled[1:2], generator.face).rotation)[0, 0]
    assert held < 35
    assert gap(settled[1]) > 0.95 * gap(turned[1])


def test_a_mouth_seen_from_the_side_is_opened_in_the_faces_own_plane() -> None:
    side = posed(closed_face(), (35, 0, 0))[0]
    generator = WarpGenerator(noise_picture()[None], side[None], CPU)
    frame = generator._frames[2]
    assert 0.15 < abs(frame.turned) < 0.75
    # Seen from the side too, the face's middle is the middle of the mouth's coordinates.
    shown = [51, 57, 62, 66, 60, 64]
    x, y = frame.to_local(torch.from_numpy(side[shown]).float())
    assert x[:4].mean().abs() < 0.05
    torch.testing.assert_close(x[4:], torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)
    back = torch.stack(frame.to_pixels(x, y), dim=-1).numpy()
    np.testing.assert_allclose(back, side[shown], atol=1e-3)
    # What its far lips would be torn by is held back, and only that.
    wide = posed(opened(0.4), (35, 0, 0))
    gap = np.linalg.norm(generator.settle(wide)[0, 66] - generator.settle(wide)[0, 62])
    asked = np.linalg.norm(wide[0, 66] - wide[0, 62])
    assert 0.45 * asked <= gap <= asked


def test_lips_and_the_skin_around_them_keep_their_order(source: F64Array) -> None:
    # Every row has its own brightness: skin that folded would get darker downwards.
    rows = np.linspace(20, 240, SIZE_PX).astype(np.uint8)
    picture = np.repeat(np.repeat(rows[:, None], SIZE_PX, axis=1)[..., None], 3, axis=2)
    generator = WarpGenerator(picture[None], source[None], CPU)
    points = posed(opened(0.45), (0, 0, 0))
    drawn = generator.generate(points)[0, ..., 0].astype(int)
    x, (nose, top) = round(points[0, 62, 0]), points[0, [33, 62], 1].round().astype(int)
    bottom, chin = points[0, [66, 8], 1].round().astype(int)
    for skin in (drawn[nose:top, x], drawn[bottom + 1 : chin, x]):
        assert np.diff(skin).min() >= -1
    # The lower lip has gone with its landmark.
    lip = round(points[0, 57, 1])
    assert abs(drawn[lip, x] - picture[round(source[57, 1]), x, 0]) <= 6


def test_a_fold_beside_the_face_holds_nothing_back(source: F64Array) -> None:
    aside = source + np.array([22.0, 0.0])
    generator = WarpGenerator(noise_picture()[None], aside[None], CPU)
    # Between the head and the border, that does not move, the background is pressed together.
    moved = (aside + np.array([29.6, 0.0]))[None]
    spline = generator._spline(moved, fit_pose(moved, generator.face))
    pressed = spline_flow(spline, SIZE_PX, 49)
    assert least_areas(pressed, SIZE_PX).min() < 0.12
    np.testing.assert_allclose(generator.settle(moved), moved)
    flow = generator.draw(moved).flow * (SIZE_PX - 1) / 2
    assert least_areas(flow, SIZE_PX).min() > 0.1


def test_what_is_held_back_is_the_turn_and_not_the_place(
    generator: WarpGenerator, source: F64Array
) -> None:
    turned = posed(closed_face(), *[(45, 0, 10)] * 20) + np.array([12.0, -10.0])
    settled = generator.settle(turned)
    held, asked, own = (
        fit_pose(faces[:1], generator.face) for faces in (settled, turned, source[None])
    )
    yaw, _, roll = (angles_deg(held.rotation) / angles_deg(asked.rotation))[0]
    place = (held.translation - own.translation) / (asked.translation - own.translation)
    assert 0.1 < yaw < 0.8
    assert min(*place[0], roll) > yaw + 0.1


def test_holding_back_changes_slowly_and_does_not_cross_a_cut(
    generator: WarpGenerator, source: F64Array
) -> None:
    shift = np.array([3.0, 0.0])
    points = np.repeat((source + shift)[None], 60, axis=0)
    points[30, 17:22, 0] += 90
    strength = (generator.settle(points, cuts=[31]) - source)[:, 27, 0] / 3.0
    assert strength[30] < 0.9
    assert np.abs(np.diff(strength[:31])).max() < 0.35
    np.testing.assert_allclose(strength[31:], 1.0)


def test_points_that_are_not_finite_are_refused(generator: WarpGenerator, source: F64Array) -> None:
    broken = source.copy()
    broken[30] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        generator.generate(broken[None])


def test_unknown_irises_are_drawn_where_they_are(source: F64Array) -> None:
    without = source.copy()
    without[68:] = np.nan
    generator = WarpGenerator(noise_picture()[None], without[None], CPU)
    difference = generator.generate(without[None])[0].astype(int) - noise_picture()
    assert np.abs(difference).max() <= 1


@pytest.mark.timeout(300)
def test_no_real_driver_folds_a_real_portrait(shared_data: Path) -> None:
    with np.load(shared_data / "portraits" / "points.npz") as stored:
        portraits = {name: stored[name].astype(np.float64) for name in ("i003", "i017", "i115")}
    for name, points in portraits.items():
        picture = load_picture(shared_data / "portraits" / f"{name}.jpg", 4096)
        crop = crop_for_face(points, 128)
        pixels, _ = take_crop(picture, crop)
        generator = WarpGenerator(pixels[None], to_crop(points, crop)[None], CPU)
        for clip in ("p033_0", "p066_0", "p091_0"):
            with np.load(shared_data / "clips" / f"{clip}.npz") as stored:
                driver = stored["points"][::4] / 16.0
            adapted = adapt(driver, generator.source)
            settled = generator.settle(adapted)
            assert generator.fold_shares(settled).max() <= FOLDED_SHARE
            kept = (
                np.abs(settled - generator.source).sum() / np.abs(adapted - generator.source).sum()
            )
            assert kept > 0.6


def test_black_cheeks_leave_the_skin_around_an_opening_mouth_as_it_is(source: F64Array) -> None:
    picture = np.full((1, SIZE_PX, SIZE_PX, 3), 255, np.uint8)
    top, bottom = (int(source[point, 1]) for point in (28, 33))
    picture[:, top - 4 : bottom + 4] = 0
    opened = posed(face_model(), (0, 0, 0))
    frames = WarpGenerator(picture, source[None], CPU).generate(opened)
    x, y = opened[0, 57].round().astype(int)  # the lower lip's outer edge
    assert (frames[0, y - 2 : y + 3, x - 2 : x + 3] > 250).all()


def test_a_white_picture_under_wild_landmarks_wraps_round_nowhere(source: F64Array) -> None:
    wild = source + np.random.default_rng(0).normal(0, 4, (12, *source.shape))
    white = np.full((1, SIZE_PX, SIZE_PX, 3), 255, np.uint8)
    # The mouth's shadow is the darkest there is; 256 would be 0.
    assert (WarpGenerator(white, source[None], CPU).generate(wild) > 60).all()


def test_two_ways_that_are_joined_lead_where_one_after_the_other_leads(source: F64Array) -> None:
    """Of a smooth picture, which fetching twice does not blur."""
    line = torch.linspace(-1, 1, 24)
    y, x = torch.meshgrid(line, line, indexing="ij")
    bent = 0.03 * torch.stack([torch.sin(2.5 * y + 1), torch.cos(2 * x)], dim=-1)
    then = (torch.stack([x, y], dim=-1) + bent)[None].expand(2, -1, -1, -1)
    wanted = posed(closed_face(), (14, -4, 3), (-9, 6, 0))
    wanted[:, [65, 66, 67, 55, 56, 57, 58, 59], 1] += 9
    smooth = WarpGenerator(
        np.ascontiguousarray(np.stack([cv2.GaussianBlur(noise_picture(), (0, 0), 4)])),
        source[None],
        CPU,
    )
    once = smooth.draw(wanted, then)
    plain = smooth.draw(wanted)
    frames = torch.from_numpy(plain.frames).permute(0, 3, 1, 2).float()
    twice = fetch(frames, upsample_flow(then, SIZE_PX)).permute(0, 2, 3, 1).numpy()
    apart = np.abs(once.frames - twice)[:, 8:-8, 8:-8]
    assert apart.mean() < 0.6
    # Edges of lips and teeth alone are sharper than a picture that was fetched twice.
    assert (apart.max(axis=3) > 12).mean() < 0.01
    assert torch.equal(once.flow, plain.flow)
    # The second way is no small one.
    assert np.abs(once.frames.astype(int) - plain.frames).mean() > 2
