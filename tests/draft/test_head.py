"""Where a head is: hair and all, told from the wall behind it by the picture itself."""

import cv2
import numpy as np

from tests.landmarks.made_faces import face_at
from thvideo.draft.head import draw_head
from thvideo.landmarks.draw import draw_heads
from thvideo.shapes import U8Array

SIDE_PX = 128
FACE = face_at(64, 76, 44)
WALL, HAIR, SKIN = (150, 160, 150), (50, 35, 25), (200, 150, 130)


def portrait(hair: tuple[int, int, int] = HAIR) -> U8Array:
    """A face under hair that stands 24 px above what landmarks know of, to one side."""
    picture = np.full((SIDE_PX, SIDE_PX, 3), WALL, np.uint8)
    cv2.ellipse(picture, (76, 52), (30, 40), 0, 0, 360, hair, -1)
    cv2.ellipse(picture, (64, 80), (20, 27), 0, 0, 360, SKIN, -1)
    grain = np.random.default_rng(0).normal(0, 6, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def test_hair_is_head_and_the_wall_beside_it_is_not() -> None:
    head = draw_head(portrait(), FACE)
    assert head[16:30, 70:84].min() > 250
    assert head[40, 100] == 255
    assert head[20, 40] == 0
    assert head[60:100, :30].max() == 0
    assert head[:, 118:].max() == 0
    assert draw_heads(FACE[None], SIDE_PX)[0, 16, 76:84].max() < 60
    edge = head[45].astype(int)
    assert ((edge > 20) & (edge < 235)).sum() >= 4


def test_hair_of_the_walls_colour_is_head_as_far_as_landmarks_say() -> None:
    head = draw_head(portrait(hair=WALL), FACE)
    assert head[50:100, 58:70].min() == 255
    assert head[4].max() == 0


def test_the_same_picture_gives_the_same_head() -> None:
    first = draw_head(portrait(), FACE)
    cv2.setRNGSeed(7)
    cv2.kmeans(portrait()[0].astype(np.float32), 3, None, (3, 5, 0.1), 2, 0)
    assert np.array_equal(first, draw_head(portrait(), FACE))


def test_pictures_that_tell_nothing_apart_have_a_head_all_the_same() -> None:
    plain = np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8)
    assert draw_head(plain, FACE)[76, 64] == 255
    # The face fills the picture, or is all but out of it.
    assert draw_head(plain, (FACE - 64) * 6 + 64).min() == 255
    assert draw_head(plain, FACE + 110).max() in range(256)
