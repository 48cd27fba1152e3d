"""The landmark image."""

import time

import numpy as np
import pytest
import torch
from skimage.measure import label

from tests.landmarks.made_faces import face_at
from thvideo.landmarks import schema
from thvideo.landmarks.draw import draw_heads, draw_landmarks
from thvideo.synthesis.device import cpu_threads


def face(size: int = 256) -> np.ndarray:
    return face_at(size / 2, size / 2, size * 0.6)[None]


@pytest.mark.parametrize(
    ("group", "colour"),
    [
        (schema.JAW, (255, 255, 255)),
        (schema.RIGHT_BROW, (255, 0, 0)),
        (schema.LEFT_BROW, (0, 255, 0)),
        (schema.NOSE, (0, 0, 255)),
        (schema.OUTER_LIP, (255, 255, 0)),
    ],
)
def test_each_part_has_its_colour(group, colour):
    points = face()
    picture = draw_landmarks(points, (256, 256))[0]
    part = points[0, group]
    x, y = np.round((part[0] + part[1]) / 2).astype(int)
    near = picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3)
    assert colour in [tuple(int(v) for v in pixel) for pixel in near]


def test_eyes_pupils_and_inner_lip_have_colours_of_their_own():
    points = face()
    picture = draw_landmarks(points, (256, 256))[0]
    colours = {tuple(int(v) for v in pixel) for pixel in picture.reshape(-1, 3)}
    assert {(255, 0, 255), (0, 255, 255), (255, 128, 0)} <= colours
    for iris, colour in ((68, (255, 128, 255)), (69, (128, 255, 255))):
        x, y = np.round(points[0, iris]).astype(int)
        assert tuple(int(v) for v in picture[y, x]) == colour


def test_lines_are_two_pixels_thick_and_antialiased():
    points = np.full((1, 70, 2), np.nan)
    points[0, schema.NOSE_BRIDGE] = [(50.3, y) for y in (20, 40, 60, 80)]
    column = draw_landmarks(points, (256, 256))[0][50, :, 2].astype(float) / 255
    assert 1.5 < column.sum() < 3.6
    assert ((column > 0.05) & (column < 0.95)).any()
    centre = (column * np.arange(256)).sum() / column.sum()
    assert abs(centre - 50.3) < 0.3


def test_the_picture_scales_with_its_size():
    small = draw_landmarks(face(256), (256, 256))[0].astype(float)
    large = draw_landmarks(face(512), (512, 512))[0].astype(float)
    halved = large.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), halved.ravel())[0, 1] > 0.85


def test_unknown_points_are_left_out_without_a_trace_elsewhere():
    points = face()
    points[0, schema.IRISES] = np.nan
    points[0, 3] = np.nan
    picture = draw_landmarks(points, (256, 256))[0]
    whole = draw_landmarks(face(), (256, 256))[0]
    assert picture.astype(int).sum() < whole.astype(int).sum()
    # The jaw is in two pieces now.
    white = (picture > 250).all(axis=-1)
    assert label(white, connectivity=2).max() == 2
    assert not draw_landmarks(np.full((1, 70, 2), np.nan), (64, 64)).any()


def test_faces_outside_the_picture_do_no_harm():
    assert not draw_landmarks(face() + 1e7, (64, 64)).any()
    assert draw_landmarks(face() - 60, (256, 256)).any()


def test_a_batch_is_drawn_as_its_members_are():
    points = np.concatenate([face(), face() + 5.25])
    batch = draw_landmarks(points, (256, 200))
    assert batch.shape == (2, 256, 200, 3)
    np.testing.assert_array_equal(batch[1], draw_landmarks(points[1:], (256, 200))[0])


def test_the_order_of_the_points_in_memory_does_not_matter():
    faces = np.concatenate([face(), face() + 5.25])
    by_point = faces[:, np.arange(schema.N_POINTS)]
    assert not by_point[0, :5].flags.c_contiguous
    drawn = draw_landmarks(by_point, (256, 256))
    np.testing.assert_array_equal(drawn, draw_landmarks(faces, (256, 256)))


def test_drawing_is_faster_than_a_layer_of_any_generator():
    layer = torch.nn.Conv2d(64, 64, 3, padding=1)
    pixels, points = torch.zeros(1, 64, 256, 256), np.repeat(face(), 10, axis=0)

    def own_s(work):
        # This thread's own time: others on the machine do not count.
        started_s = time.thread_time()
        work()
        return time.thread_time() - started_s

    with torch.inference_mode(), cpu_threads(1):
        least_s = min(own_s(lambda: layer(pixels)) for _ in range(5))
    assert min(own_s(lambda: draw_landmarks(points, (256, 256))) for _ in range(5)) / 10 < least_s


def test_heads_are_full_in_the_middle_soft_at_the_edge_and_nothing_beyond():
    points = np.concatenate([face(), face() + np.array([10, 0])])
    heads = draw_heads(points, 256)
    assert heads.shape == (2, 256, 256)
    for head, one in zip(heads, points, strict=True):
        x, y = np.round(one[30]).astype(int)
        assert head[y, x] == 255
        assert head[0, 0] == head[-1, -1] == 0
        across = head[y].astype(int)
        assert ((across > 20) & (across < 235)).sum() >= 8
    shifted = np.abs(heads[0, :, :-10].astype(int) - heads[1, :, 10:])
    assert shifted.max() < 30
