"""The cast of colours: found on the skin, taken away, and nothing is found where there is none."""

import numpy as np
import pytest

from tests.landmarks.made_faces import face_at
from thvideo.draft.cast import cast_of, without_cast
from thvideo.shapes import U8Array

FACE = face_at(48, 50, 50).astype(np.float32)
PHOTO = np.array([200.0, 140.0, 119.5])


def portrait(skin: np.ndarray) -> U8Array:
    """A face of one colour before something blue."""
    picture = np.full((96, 96, 3), (20, 40, 200), np.uint8)
    picture[20:80, 20:76] = np.round(skin)
    # Shadows and lights keep their colour.
    picture[40:60] = np.round(picture[40:60] * 0.7)
    return picture


@pytest.mark.parametrize("varnish", [(1.0, 0.9, 0.6), (1.2, 0.9, 0.8), (0.9, 1.2, 0.9)])
def test_skin_without_its_cast_is_that_of_a_photograph(varnish: tuple[float, ...]) -> None:
    picture = portrait(PHOTO * varnish)
    plain = without_cast(picture, cast_of(picture, FACE))
    for row in (30, 50, 70):
        skin = plain[row, 48] / plain[row, 48].mean()
        np.testing.assert_allclose(skin, PHOTO / PHOTO.mean(), atol=0.02)


def test_a_photograph_a_statue_and_a_grey_picture_have_none() -> None:
    np.testing.assert_allclose(cast_of(portrait(PHOTO), FACE), 1, atol=0.01)
    np.testing.assert_allclose(cast_of(portrait(np.full(3, 130.0)), FACE), 1, atol=1e-6)
    np.testing.assert_allclose(cast_of(portrait(np.array([132, 130, 126])), FACE), 1, atol=0.03)
    np.testing.assert_allclose(cast_of(np.zeros((96, 96, 3), np.uint8), FACE), 1)


def test_paint_is_not_taken_for_light() -> None:
    green = cast_of(portrait(np.array([20.0, 200.0, 20.0])), FACE)
    assert green.min() == pytest.approx(0.6)
    assert green.max() == pytest.approx(1.8)


def test_a_face_that_leaves_the_crop_is_measured_within_it() -> None:
    assert np.isfinite(cast_of(portrait(PHOTO), FACE + 90)).all()
