"""Returning crops into the picture: exact at rest, right place, no box, no cast."""

import cv2
import numpy as np
import pytest

from thvideo.imaging.blend import (
    feather_mask,
    full_frames,
    inner_box,
    output_plan,
    paste,
    plan_paste,
    resize_to_plan,
)
from thvideo.imaging.crop import Box, Crop, scale_crop, take_crop
from thvideo.shapes import U8Array

RNG = np.random.default_rng(5)


def rough_picture(height: int, width: int) -> U8Array:
    """Structure of all sizes down to single pixels."""
    coarse = cv2.resize(RNG.uniform(30, 220, (9, 12, 3)), (width, height), interpolation=2)
    fine = RNG.normal(0, 12, (height, width, 3))
    return np.asarray(np.clip(coarse + fine, 0, 255), dtype=np.uint8)


def shifted(crop: U8Array, shift_x: float, shift_y: float) -> U8Array:
    """The crop's middle moved by whole or part pixels, its border at rest."""
    size = crop.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    far = np.maximum(np.abs(columns - size / 2), np.abs(rows - size / 2)) / (size / 2)
    weight = np.clip((0.8 - far) / 0.3, 0, 1)
    map_x = (columns - weight * shift_x).astype(np.float32)
    map_y = (rows - weight * shift_y).astype(np.float32)
    return np.asarray(cv2.remap(crop, map_x, map_y, cv2.INTER_CUBIC), dtype=np.uint8)


CROPS = [
    Crop(200.3, 150.8, 190.0, 96),  # enlarged on return
    Crop(200.3, 150.8, 190.0, 256),  # reduced on return
    Crop(40.0, 30.0, 160.0, 128),  # over the picture's corner
    Crop(200.0, 150.0, 900.0, 256),  # the picture lies inside the crop
]


@pytest.mark.parametrize("crop", CROPS)
def test_the_untouched_crop_gives_the_picture_back_exactly(crop: Crop) -> None:
    picture = rough_picture(300, 400)
    source, valid = take_crop(picture, crop)
    plan = plan_paste(picture, crop, source, feather_mask(crop.size_px, valid))
    frames = full_frames(plan, paste(plan, source[None]))
    np.testing.assert_array_equal(frames[0], picture)


def test_the_noise_of_a_compressed_crop_does_not_shimmer_where_nothing_moves() -> None:
    picture = rough_picture(300, 400)
    crop = CROPS[0]
    source, valid = take_crop(picture, crop)
    noisy = np.clip(source + RNG.integers(-1, 2, source.shape), 0, 255).astype(np.uint8)
    plan = plan_paste(picture, crop, source, feather_mask(crop.size_px, valid))
    region = paste(plan, noisy[None])[0].astype(int)
    assert np.abs(region - picture[plan.box.slices]).max() <= 1


@pytest.mark.parametrize("crop", CROPS[:2])
def test_outside_the_crop_and_at_its_border_nothing_changes(crop: Crop) -> None:
    picture = rough_picture(300, 400)
    source, valid = take_crop(picture, crop)
    drawn = np.clip(shifted(source, 6, -4).astype(int), 0, 255).astype(np.uint8)
    plan = plan_paste(picture, crop, source, feather_mask(crop.size_px, valid))
    frame = full_frames(plan, paste(plan, drawn[None]))[0]
    changed = (frame != picture).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert columns.min() > crop.left
    assert columns.max() < crop.left + crop.side_px
    assert rows.min() > crop.top
    assert rows.max() < crop.top + crop.side_px
    rim = frame[plan.box.slices][[0, -1]].astype(int) - picture[plan.box.slices][[0, -1]]
    assert np.abs(rim).max() <= 2


@pytest.mark.parametrize("size_px", [96, 190, 300])
def test_a_moved_spot_lands_at_its_exact_place_in_the_picture(size_px: int) -> None:
    rows, columns = np.mgrid[:300, :400]

    def spot(x: float, y: float) -> U8Array:
        soft = 60 + 180 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 7.0**2))
        return np.repeat(soft.round().astype(np.uint8)[..., None], 3, axis=2)

    crop = Crop(201.3, 149.1, 190.0, size_px)
    before, after = spot(195, 150), spot(207.4, 143.7)
    source, valid = take_crop(before, crop)
    drawn, _ = take_crop(after, crop)
    plan = plan_paste(before, crop, source, feather_mask(size_px, valid))
    frame = full_frames(plan, paste(plan, drawn[None]))[0]
    # As if the picture had been drawn anew: nothing is left at the old place.
    assert np.abs(frame.astype(int) - after).max() <= 4


def test_what_moves_is_the_drawn_crop_without_a_ghost_of_the_pictures_detail() -> None:
    picture = np.full((300, 300, 3), 120, dtype=np.uint8)
    picture[100:200:2, 100:200] = 20  # lines that a small crop cannot hold
    crop = Crop(149.5, 149.5, 200.0, 64)
    source, valid = take_crop(picture, crop)
    drawn = source.copy()
    drawn[16:48, 16:48] = 200
    plan = plan_paste(picture, crop, source, feather_mask(64, valid))
    frame = full_frames(plan, paste(plan, drawn[None]))[0]
    assert np.ptp(frame[120:180, 120:180].astype(int)) <= 2


def test_a_generators_colour_cast_is_taken_away() -> None:
    picture = rough_picture(300, 400)
    crop = Crop(200.3, 150.8, 190.0, 128)
    source, valid = take_crop(np.clip(picture, 40, 200), crop)
    picture = np.clip(picture, 40, 200)
    drawn = np.clip(source.astype(int) + np.array([9, -5, 12]), 0, 255).astype(np.uint8)
    plan = plan_paste(picture, crop, source, feather_mask(128, valid))
    region = paste(plan, drawn[None])[0].astype(float) - picture[plan.box.slices]
    middle = region[60:-60, 60:-60]
    assert np.abs(middle.mean(axis=(0, 1))).max() < 0.6


def test_one_frame_and_many_frames_agree_with_any_number_of_threads() -> None:
    picture = rough_picture(300, 400)
    crop = Crop(200.3, 150.8, 190.0, 128)
    source, valid = take_crop(picture, crop)
    crops = np.stack([shifted(source, step, 1.5) for step in range(5)])
    plan = plan_paste(picture, crop, source, feather_mask(128, valid))
    together = paste(plan, crops, threads=3)
    one_by_one = np.concatenate([paste(plan, crop[None], threads=1) for crop in crops])
    np.testing.assert_array_equal(together, one_by_one)


def test_the_mask_is_zero_at_the_border_and_one_over_the_head() -> None:
    mask = feather_mask(256, Box(0, 0, 256, 256))
    assert mask[0].max() == mask[-1].max() == mask[:, 0].max() == mask[:, -1].max() == 0
    assert (mask[24:-24, 24:-24] == 1).all()
    assert np.abs(np.diff(mask[128])).max() < 0.12


def test_the_mask_does_not_fade_where_the_picture_itself_ends() -> None:
    mask = feather_mask(256, Box(0, 0, 256, 200))
    assert (mask[180:200, 100:150] == 1).all()
    assert mask[0].max() == 0


def test_a_crop_beside_the_picture_is_refused() -> None:
    source = np.zeros((64, 64, 3), dtype=np.uint8)
    mask = feather_mask(64, Box(0, 0, 64, 64))
    with pytest.raises(ValueError, match="outside the picture"):
        plan_paste(np.zeros((100, 100, 3), dtype=np.uint8), Crop(400, 50, 80, 64), source, mask)


@pytest.mark.parametrize(
    ("height", "width", "max_side", "expected"),
    [
        (1080, 1920, 1080, (606, 1080)),
        (721, 1281, 4096, (720, 1280)),
        (500, 375, 1080, (500, 374)),
        (64, 64, 1080, (64, 64)),
        (3000, 64, 1001, (1000, 20)),
    ],
)
def test_output_sizes_are_even_and_never_enlarged(
    height: int, width: int, max_side: int, expected: tuple[int, int]
) -> None:
    plan = output_plan(height, width, max_side)
    assert (plan.height, plan.width) == expected
    assert plan.scale <= 1


def test_a_picture_at_its_own_size_keeps_its_pixels() -> None:
    picture = rough_picture(101, 75)
    plan = output_plan(101, 75, 1080)
    np.testing.assert_array_equal(resize_to_plan(picture, plan), picture[:100, :74])


def test_a_crop_lies_in_the_reduced_picture_where_scale_crop_says() -> None:
    rows, columns = np.mgrid[:701, :903]
    soft = 250 * np.exp(-((columns - 701.0) ** 2 + (rows - 333.0) ** 2) / (2 * 30.0**2))
    picture = np.repeat(soft.round().astype(np.uint8)[..., None], 3, axis=2)
    plan = output_plan(701, 903, 411)
    crop = Crop(690.0, 340.0, 200.0, 128)
    from_large, _ = take_crop(picture, crop)
    from_small, _ = take_crop(resize_to_plan(picture, plan), scale_crop(crop, plan.scale))
    assert np.abs(from_large.astype(int) - from_small).max() <= 3


def test_the_crop_alone_is_shown_without_what_lies_beyond_the_picture() -> None:
    assert inner_box(Box(11, 0, 256, 201)) == Box(11, 0, 255, 200)
