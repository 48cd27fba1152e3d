"""Crops: exact maps, sub-pixel sampling, no aliasing, the picture's edge."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from thvideo.imaging.crop import (
    Box,
    Crop,
    crop_as_shown,
    crop_for_face,
    scale_crop,
    take_crop,
    to_crop,
    valid_box,
)
from thvideo.shapes import F64Array, U8Array


def dot(height: int, width: int, x: float, y: float, sigma: float) -> U8Array:
    """A picture of a round soft dot around (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    soft = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((soft * 250).round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(picture: U8Array) -> F64Array:
    """The centre of brightness, (x, y)."""
    light = picture[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    sums = [(columns * light).sum(), (rows * light).sum()]
    return np.asarray(sums, dtype=np.float64) / light.sum()


def face(centre_x: float, centre_y: float, height_px: float) -> F64Array:
    """70 points in the rough places of a face: chin below, brows above."""
    points = np.zeros((70, 2))
    points[:] = (centre_x, centre_y)
    angle = np.linspace(0, np.pi, 17)
    points[:17, 0] = centre_x - 0.5 * height_px * np.cos(angle)
    points[:17, 1] = centre_y - 0.3 * height_px + 0.8 * height_px * np.sin(angle)
    points[17:27, 0] = centre_x + np.linspace(-0.4, 0.4, 10) * height_px
    points[17:27, 1] = centre_y - 0.5 * height_px
    return points


def to_picture(points: F64Array, crop: Crop) -> F64Array:
    """Where crop points `[..., 2]` lie in the picture: edge to edge, from the crop's corner."""
    corner = np.array([crop.centre_x, crop.centre_y]) - crop.side_px / 2
    return np.asarray(corner + (points + 0.5) * crop.side_px / crop.size_px)


@pytest.mark.parametrize(
    "crop", [Crop(100.3, 61.7, 90.5, 256), Crop(-4, 900, 333.3, 128), Crop(5, 5, 64, 64)]
)
def test_to_crop_is_the_way_back_from_the_crops_pixels_to_the_picture(crop: Crop) -> None:
    points = np.random.default_rng(0).uniform(-500, 2000, (3, 70, 2))
    np.testing.assert_allclose(to_crop(to_picture(points, crop), crop), points, atol=1e-9)


def test_the_crops_edges_are_half_a_crop_pixel_outside_its_outer_centres() -> None:
    crop = Crop(50.0, 40.0, 20.0, 10)
    assert to_crop(np.array([40.0, 30.0]), crop).tolist() == [-0.5, -0.5]
    assert to_crop(np.array([60.0, 50.0]), crop).tolist() == [9.5, 9.5]


@pytest.mark.parametrize(("side", "size"), [(150.0, 256), (111.3, 111), (240.0, 64)])
def test_a_dot_lands_where_to_crop_says_to_a_thirtieth_of_a_pixel(side: float, size: int) -> None:
    place = np.array([151.37, 118.81])
    crop = Crop(140.21, 125.6, side, size)
    pixels, _ = take_crop(dot(260, 320, place[0], place[1], 6.0), crop)
    np.testing.assert_allclose(centroid(pixels), to_crop(place, crop), atol=1 / 30)


def test_an_aligned_crop_of_the_same_size_copies_the_pixels() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    pixels, valid = take_crop(picture, Crop(60 - 0.5, 40 - 0.5, 64, 64))
    np.testing.assert_array_equal(pixels, picture[8:72, 28:92])
    assert valid == Box(0, 0, 64, 64)


def test_a_fine_checkerboard_is_reduced_to_even_grey() -> None:
    checker = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels, _ = take_crop(np.repeat(checker[..., None], 3, axis=2), Crop(200, 200, 333, 64))
    inner = pixels[4:-4, 4:-4].astype(int)
    assert abs(inner.mean() - 127.5) < 2
    assert np.ptp(inner) <= 8


def test_a_reduction_agrees_with_a_gaussian_and_interpolation() -> None:
    noise = np.random.default_rng(2).normal(0, 1, (300, 300))
    smooth = gaussian_filter(noise, 9)
    smooth = 127 + 100 * smooth / np.abs(smooth).max()
    picture = np.repeat(smooth.round().astype(np.uint8)[..., None], 3, axis=2)
    crop = Crop(150.0, 150.0, 200.0, 50)
    pixels, _ = take_crop(picture, crop)
    grid = np.stack(np.meshgrid(np.arange(50), np.arange(50)), axis=-1).astype(float)
    places = to_picture(grid, crop).round().astype(int)
    expected = gaussian_filter(smooth, 1.5)[places[..., 1], places[..., 0]]
    assert np.abs(pixels[..., 0] - expected).max() < 6


def test_beyond_the_picture_its_edge_is_repeated_and_not_valid() -> None:
    picture = np.zeros((100, 100, 3), dtype=np.uint8)
    picture[:, :, 0] = np.linspace(20, 220, 100).astype(np.uint8)[None]
    crop = Crop(0.0, 50.0, 80.0, 80)
    pixels, valid = take_crop(picture, crop)
    assert valid == Box(40, 0, 80, 80)
    assert (pixels[:, :38, 0] == 20).all()
    # The valid part starts at the picture's first column.
    assert to_picture(np.array([valid.x0, 0.0]), crop)[0] == pytest.approx(0.5)


def test_the_valid_box_is_x_first() -> None:
    valid = valid_box(Crop(0, 50, 80, 80), height=100, width=100)
    assert np.asarray(valid).tolist() == [40, 0, 80, 80]


def test_a_crop_outside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the picture"):
        take_crop(np.zeros((64, 64, 3), dtype=np.uint8), Crop(500, 30, 40, 32))


def test_a_scaled_crop_shows_the_same_content_in_a_resized_picture() -> None:
    large = dot(400, 500, 260.0, 190.0, 20.0)
    small = large.reshape(200, 2, 250, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    crop = Crop(240.0, 200.0, 180.0, 96)
    first, _ = take_crop(large, crop)
    second, _ = take_crop(small, scale_crop(crop, 0.5))
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 4


def test_the_face_takes_over_a_third_of_the_crop_and_hair_has_more_room_than_the_neck() -> None:
    points = face(300, 200, 100)
    crop = crop_for_face(points, 256)
    inside = to_crop(points, crop) / 256
    height = np.ptp(inside[:68, 1])
    assert 0.34 < height < 0.40
    assert inside[:68, 1].min() > 0.3
    assert inside[:68, 1].max() < 0.85
    assert abs(inside[:68, 0].mean() - 0.5) < 0.02


def test_a_crop_for_many_frames_holds_all_of_them() -> None:
    frames = np.stack([face(300 + 40 * step, 200, 100) for step in range(5)])
    inside = to_crop(frames, crop_for_face(frames, 256))
    assert inside.min() > 20
    assert inside.max() < 236


def test_a_tilted_head_moves_the_crop_along_its_own_up_direction() -> None:
    upright = face(0, 0, 100)
    lying = upright[:, ::-1] * [-1, 1]
    assert crop_for_face(upright, 64).centre_y < upright[:, 1].mean() - 5
    assert crop_for_face(lying, 64).centre_x > lying[:, 0].mean() + 5


def test_frames_without_a_face_do_not_count_and_none_at_all_is_refused() -> None:
    frames = np.stack([face(300, 200, 100), np.full((70, 2), np.nan)])
    assert crop_for_face(frames, 128) == crop_for_face(frames[0], 128)
    with pytest.raises(ValueError, match="no finite landmarks"):
        crop_for_face(frames[1:], 128)


def test_unknown_irises_do_not_matter() -> None:
    points = face(300, 200, 100)
    unknown = points.copy()
    unknown[68:] = np.nan
    assert crop_for_face(unknown, 128) == crop_for_face(points, 128)


@pytest.mark.parametrize("scale", [1.0, 0.9, 0.37])
@pytest.mark.parametrize("centre", [(407.3, 391.8), (500.0, 333.25)])
def test_a_crop_as_it_is_shown_lies_on_the_pixels_of_the_reduced_picture(
    scale: float, centre: tuple[float, float]
) -> None:
    crop = crop_as_shown(Crop(*centre, 777.7 / scale, 512), scale)
    shown = scale_crop(crop, scale)
    assert shown.side_px == pytest.approx(crop.size_px, abs=1e-9) == 776
    assert shown.left + 0.5 == pytest.approx(round(shown.left + 0.5), abs=1e-6)
    assert shown.top + 0.5 == pytest.approx(round(shown.top + 0.5), abs=1e-6)
    assert abs(crop.centre_x - centre[0]) * scale <= 0.5 + 1e-6
    # What is cut out is the picture itself.
    picture = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    pixels, _ = take_crop(picture, shown)
    left, top = round(shown.left + 0.5), round(shown.top + 0.5)
    inside = picture[max(0, top) : top + 776, max(0, left) : left + 776]
    assert np.array_equal(
        pixels[max(0, -top) : max(0, -top) + len(inside), max(0, -left) :][:, : inside.shape[1]],
        inside,
    )


@pytest.mark.parametrize(
    "side, scale, size_px",
    [(3000.0, 0.3, 896), (5000.0, 0.9, 1024), (3000.0, 0.1, 512), (300.0, 1.0, 304),
     (300.0, 0.5, 304), (60.0, 1.0, 128)],
)  # fmt: skip
def test_small_faces_and_huge_ones_have_bounds(side: float, scale: float, size_px: int) -> None:
    crop = crop_as_shown(Crop(700.0, 800.0, side, 512), scale)
    assert crop.size_px == size_px
    assert crop.side_px == pytest.approx(side, rel=0.02)
