"""Crops come to the picture's pixels at their exact places, as sharp as Pillow brings them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from thvideo.imaging.crop import Box
from thvideo.imaging.resample import Edges, resample
from thvideo.shapes import U8Array


def rough(side_px: int) -> U8Array:
    random = np.random.default_rng(3)
    coarse = cv2.resize(random.uniform(30, 220, (40, 40, 3)), (side_px, side_px), interpolation=2)
    return np.clip(coarse + random.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("edges", "box"),
    [
        ((0.0, 0.0, 200.0, 200.0), Box(0, 0, 200, 200)),  # as it is
        ((2.18, 40.22, 190.51, 199.49), Box(7, 0, 327, 271)),  # enlarged
        ((10.3, 20.6, 190.3, 190.6), Box(0, 0, 90, 85)),  # reduced
    ],
)
def test_it_is_pillows_bicubic_to_within_a_level(edges: Edges, box: Box) -> None:
    image = rough(200)
    wanted = Image.fromarray(image).resize(
        (box.width, box.height), Image.Resampling.BICUBIC, box=edges
    )
    difference = resample(image, edges, box).astype(int) - np.asarray(wanted, int)
    assert np.abs(difference).mean() < 1
    assert abs(difference.mean()) < 0.05


def test_a_slope_keeps_its_place_to_a_fraction_of_a_pixel() -> None:
    slope = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None] * 2, 100, axis=0).repeat(3, 2)
    edges, box = (10.25, 10.5, 60.25, 70.5), Box(0, 0, 125, 100)
    found = resample(slope, edges, box)[50, :, 0].astype(float)
    # The middle of pixel X lies at edge + (X + 1/2) step in the crop, whose pixel n has 2 n.
    expected = 2 * (10.25 + (np.arange(125) + 0.5) * 0.4 - 0.5)
    assert np.abs(found - expected).max() < 0.8


def test_a_crop_on_the_pictures_pixels_is_put_back_as_it_is() -> None:
    image = rough(200)
    found = resample(image, (12.0, 30.0 + 1e-7, 112.0, 150.0), Box(3, 5, 103, 125))
    assert np.array_equal(found, image[30:150, 12:112])
    beside = resample(image, (12.3, 30.0, 112.3, 150.0), Box(3, 5, 103, 125))
    assert not np.array_equal(beside, found)
