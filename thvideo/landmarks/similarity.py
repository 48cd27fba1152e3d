"""Similarity transforms of landmark sets: where a face is, apart from what it does.

A point (x, y) is the complex number x + iy, so that ``scale * point + shift`` is a rotation, a
change of size and a move. T frames, N points.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thvideo.landmarks import schema
from thvideo.shapes import F64Array

#: The points that move with the skull: nose, eye corners, and the jaw near the ears.
RIGID_POINTS = (0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45)


@dataclass(frozen=True)
class Similarity:
    """``scale * point + shift`` for every frame; complex ``[T]``, pixels."""

    scale: NDArray[np.complex128]
    shift: NDArray[np.complex128]

    def apply(self, points: NDArray[Any]) -> F64Array:
        """Map points ``[T, N, 2]`` (or ``[N, 2]`` for every frame) to ``[T, N, 2]``."""
        return from_complex(self.scale[:, None] * to_complex(points) + self.shift[:, None])

    def undo(self, points: NDArray[Any]) -> F64Array:
        """Map points ``[T, N, 2]`` back."""
        return from_complex((to_complex(points) - self.shift[:, None]) / self.scale[:, None])


def to_complex(points: NDArray[Any]) -> NDArray[np.complex128]:
    """Turn ``[..., 2]`` into complex ``[...]``."""
    wide = np.asarray(points, dtype=np.float64)
    return np.asarray(wide[..., 0] + 1j * wide[..., 1], dtype=np.complex128)


def from_complex(points: NDArray[np.complex128]) -> F64Array:
    """Turn complex ``[...]`` into ``[..., 2]``."""
    return np.stack([points.real, points.imag], axis=-1)


def fit_similarity(points: NDArray[Any], reference: NDArray[Any]) -> Similarity:
    """Fit the similarity that brings the reference nearest to the points (least squares).

    Args:
        points: ``[T, N, 2]`` pixels; a frame with NaN gets NaN.
        reference: ``[N, 2]``.

    Returns:
        One transform per frame.
    """
    wanted, base = to_complex(points), to_complex(reference)
    base_mean, wanted_mean = base.mean(), wanted.mean(axis=1)
    centred = base - base_mean
    scale = (wanted - wanted_mean[:, None]) @ centred.conj() / np.vdot(centred, centred).real
    return Similarity(scale, wanted_mean - scale * base_mean)


def face_similarity(points: NDArray[Any], reference: NDArray[Any]) -> Similarity:
    """Fit the similarity over the points that move with the skull.

    Args:
        points: ``[T, 70, 2]`` pixels.
        reference: ``[70, 2]`` pixels.
    """
    rigid = list(RIGID_POINTS)
    return fit_similarity(np.asarray(points)[:, rigid], np.asarray(reference)[rigid])


def mean_shape(points: NDArray[Any]) -> F64Array:
    """Average faces after bringing them onto each other; robust against a few wrong ones.

    Args:
        points: ``[T, 70, 2]`` pixels, NaN where unknown.

    Returns:
        ``[70, 2]`` in the place and size of the middle frame known; NaN for points never known.
    """
    wide = np.asarray(points, dtype=np.float64)
    known = np.isfinite(wide[:, : schema.N_IBUG_POINTS]).all(axis=(1, 2))
    faces = wide[known]
    if len(faces) == 0:
        return np.full(wide.shape[1:], np.nan)
    middle = faces[len(faces) // 2]
    aligned = face_similarity(faces, middle).undo(faces)
    # np.nanmedian warns about points that are never known; those stay NaN quietly.
    never = np.isnan(aligned).all(axis=0)
    return np.where(never, np.nan, np.nanmedian(np.where(never, 0.0, aligned), axis=0))
