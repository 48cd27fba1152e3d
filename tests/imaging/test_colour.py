"""Lab as scikit-image has it; the rim's colour difference, a cast and not another content."""

import subprocess
import sys

import numpy as np
from skimage.color import rgb2lab

from thvideo.imaging.colour import rgb_to_lab, rim_offset
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


def test_lab_is_scikit_images_to_the_bit() -> None:
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    every_colour = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 52, 3)
    np.testing.assert_array_equal(rgb_to_lab(every_colour), rgb2lab(every_colour))


def test_describing_a_face_loads_no_scipy() -> None:
    script = "import sys, thvideo.landmarks.likeness; print('scipy' in sys.modules)"
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, check=True).stdout.strip() == b"False"
