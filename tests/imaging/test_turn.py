"""Quarter turns of pictures and points."""

import numpy as np
import pytest

from thvideo.imaging.turn import (
    points_back,
    points_upright,
    quarter_of,
    turn_back,
    turn_upright,
)


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_points_go_with_the_picture_and_both_come_back(quarter):
    picture = np.zeros((5, 9, 3), np.uint8)
    picture[1, 6] = 255
    upright = turn_upright(picture, quarter)
    x, y = points_upright(np.array([6.0, 1.0]), quarter, (5, 9)).astype(int)
    assert upright[y, x].tolist() == [255] * 3
    np.testing.assert_array_equal(turn_back(upright, quarter), picture)
    np.testing.assert_array_equal(points_back(np.array([x, y]), quarter, (5, 9)), [6, 1])


def test_what_lies_clockwise_is_turned_the_other_way():
    # An arrow that pointed up and was turned clockwise points right.
    picture = np.zeros((3, 3, 3), np.uint8)
    picture[1, 2] = 255
    assert turn_upright(picture, 1)[0, 1, 0] == 255


@pytest.mark.parametrize(
    ("roll_deg", "quarter"),
    [(0, 0), (44, 0), (-44, 0), (46, 1), (120, 1), (170, 2), (-170, 2), (-60, 3), (-91, 3)],
)
def test_the_nearest_quarter_is_taken(roll_deg, quarter):
    assert quarter_of(np.radians(roll_deg)) == quarter


def test_a_batch_is_turned_as_its_pictures_are():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)
    np.testing.assert_array_equal(
        turn_upright(pictures, 3), np.stack([turn_upright(p, 3) for p in pictures])
    )
