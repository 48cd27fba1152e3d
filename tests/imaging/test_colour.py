"""The rim's colour difference: measured where it is a cast, ignored where it is content."""

import numpy as np

from thvideo.imaging.colour import rim_offset
from thvideo.shapes import F32Array, U8Array


def rim() -> F32Array:
    weight = np.zeros((64, 64), dtype=np.float32)
    weight[:6] = weight[-6:] = 1
    weight[:, :6] = weight[:, -6:] = 1
    return weight


def source() -> U8Array:
    return np.random.default_rng(0).integers(60, 190, (64, 64, 3), dtype=np.uint8)


def test_an_untouched_crop_has_no_offset() -> None:
    assert rim_offset(source()[None], source(), rim()).tolist() == [[0, 0, 0]]


def test_a_cast_is_measured_in_each_channel_of_each_frame() -> None:
    casts = np.array([[4, -3, 0], [0, 10, -8]])
    crops = (source()[None].astype(int) + casts[:, None, None]).astype(np.uint8)
    np.testing.assert_allclose(rim_offset(crops, source(), rim()), casts, atol=1e-4)


def test_shoulders_that_moved_over_the_rim_count_nothing() -> None:
    crop = source()
    crop[-20:, 10:50] = 20
    assert np.abs(rim_offset(crop[None], source(), rim())).max() < 0.05


def test_the_face_in_the_middle_counts_nothing() -> None:
    crop = source()
    crop[10:-10, 10:-10] = 250
    assert rim_offset(crop[None], source(), rim()).tolist() == [[0, 0, 0]]


def test_another_background_is_not_taken_for_a_cast() -> None:
    other = np.full((1, 64, 64, 3), 255, dtype=np.uint8)
    assert np.abs(rim_offset(other, np.zeros((64, 64, 3), np.uint8), rim())).max() <= 24


def test_no_rim_means_no_offset() -> None:
    crops = np.full((2, 64, 64, 3), 9, dtype=np.uint8)
    assert rim_offset(crops, source(), np.zeros((64, 64), np.float32)).tolist() == [[0] * 3] * 2
