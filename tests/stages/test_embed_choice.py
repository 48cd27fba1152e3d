"""Which source frames carry the identity: sharp ones first, of ever different pose."""

import cv2
import numpy as np

from tests.landmarks.made_faces import unit_face
from thvideo.imaging.crop import Crop
from thvideo.shapes import U8Array
from thvideo.stages.embed import _choose, _quality, _Shot

SIDE_PX = 128
POINTS = ((unit_face() * 0.5 + 0.5) * SIDE_PX).astype(np.float32)
FRONTAL = np.zeros(3)


def texture() -> U8Array:
    return np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)


def shot(frame: int, quality: float, yaw_deg: float, source: int = 0) -> _Shot:
    return _Shot(
        source, frame, 0, POINTS, Crop(0, 0, 1, SIDE_PX), texture(), np.zeros(4, np.float32),
        np.array([yaw_deg, 0, 0]), quality,
    )  # fmt: skip


def test_a_blurred_turned_or_speaking_face_is_worse() -> None:
    sharp = texture()
    best = _quality(sharp, POINTS, FRONTAL)
    blurred = [_quality(cv2.blur(sharp, (n, n)), POINTS, FRONTAL) for n in (3, 5, 9)]
    assert best > blurred[0] > blurred[1] > blurred[2]
    assert best > _quality(sharp, POINTS, np.array([20.0, 0, 0]))
    # How far a head is tilted does not count.
    assert best == _quality(sharp, POINTS, np.array([0, 0, 20.0]))
    speaking = POINTS.copy()
    speaking[65:68, 1] += 10
    assert best > _quality(sharp, speaking, FRONTAL)


def test_the_sharpest_come_first_and_then_other_poses() -> None:
    # Ten frames of one pose, each a little worse; two of other poses, worse than all of them.
    same = [shot(frame, 5 - 0.01 * frame, 0) for frame in range(10)]
    turned = [shot(10, 4.5, 25), shot(11, 4.4, -25), shot(12, 4.3, 26)]
    chosen = [one.frame for one in _choose(same + turned, 8)]
    assert chosen[:3] == [0, 10, 11]
    assert chosen[3:] == [1, 2, 3, 4, 5]
    # Another pose does not make up for any blur.
    assert [one.frame for one in _choose([*same, shot(10, -5, 25)], 3)] == [0, 1, 2]


def test_the_first_source_is_the_one_that_is_animated() -> None:
    shots = [shot(0, 1, 0), shot(1, 0, 5), shot(0, 9, 0, source=1)]
    assert [(one.source, one.frame) for one in _choose(shots, 2)] == [(0, 0), (1, 0)]


def test_thirty_two_shots_of_several_sources_are_kept_once_each() -> None:
    shots = [
        shot(frame, 3 - 0.1 * frame, 3 * frame - 30, source)
        for source in range(4)
        for frame in range(12)
    ]
    chosen = _choose(shots, 32)
    assert len({(one.source, one.frame) for one in chosen}) == 32
    assert len(_choose(shots, 64)) == 48
