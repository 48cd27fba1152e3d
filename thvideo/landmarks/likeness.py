"""How much two faces look alike: enough to tell apart the few people in one video."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog

from thvideo.imaging.colour import rgb_to_lab
from thvideo.landmarks import schema
from thvideo.landmarks.similarity import fit_similarity
from thvideo.shapes import F32Array, U8Array, check_shape

_CROP_PX = 64
# Where the centres of the eyes and of the mouth come to lie in the crop, as shares of its side:
# room above for the hair and below for the chin.
_ANCHORS = ((0.34, 0.42), (0.66, 0.42), (0.5, 0.74))
_HOG_CELL_PX = 8
_COLOUR_CELLS = 4
# Lightness says more about the lamp than about the person.
_LAB_WEIGHTS = (0.5, 1.0, 1.0)
# Weights of shape in the picture, colour and proportions in the descriptor; found on clips of
# 150 people by telling one of four faces from another moment of the same clip.
_HOG_WEIGHT, _COLOUR_WEIGHT, _PROPORTION_WEIGHT = 1.0, 1.0, 0.3


def describe(picture: U8Array, points: NDArray[np.floating]) -> F32Array:
    """Describe a face by edges (HOG), colours and proportions.

    Args:
        picture: ``[H, W, 3]`` RGB in 0..255.
        points: ``[70, 2]`` pixels; the irises may be unknown.

    Returns:
        A vector for :func:`similarity`.

    Raises:
        ValueError: A point other than the irises is unknown.
    """
    check_shape(picture, "H W 3")
    check_shape(points, "70 2")
    known = np.asarray(points, dtype=np.float64)[: schema.N_IBUG_POINTS]
    if not np.isfinite(known).all():
        raise ValueError("a face with unknown points cannot be described")
    crop = _aligned_crop(picture, known)
    edges = hog(
        cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY),
        orientations=8,
        pixels_per_cell=(_HOG_CELL_PX, _HOG_CELL_PX),
        cells_per_block=(2, 2),
    )
    parts = (
        (_HOG_WEIGHT, edges - edges.mean()),
        (_COLOUR_WEIGHT, _colours(crop)),
        (_PROPORTION_WEIGHT, _proportions(known)),
    )
    return np.concatenate([weight * _unit(part) for weight, part in parts]).astype(np.float32)


def similarity(a: F32Array, b: F32Array) -> float:
    """Return the cosine similarity of two descriptors, 1 for the same picture."""
    return float(np.dot(a, b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _unit(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values / max(float(np.linalg.norm(values)), 1e-12)


def _aligned_crop(picture: U8Array, points: NDArray[np.float64]) -> U8Array:
    centres = np.stack(
        [points[part].mean(axis=0) for part in (schema.RIGHT_EYE, schema.LEFT_EYE, schema.MOUTH)]
    )
    wanted = np.array(_ANCHORS) * _CROP_PX
    fit = fit_similarity(wanted[None], centres)
    scale, shift = complex(fit.scale[0]), complex(fit.shift[0])
    matrix = np.array([[scale.real, -scale.imag, shift.real], [scale.imag, scale.real, shift.imag]])
    factor = int(1 / max(abs(scale), 1e-6))
    if factor >= 2:
        # A face much larger than the crop is averaged first: a bilinear warp would alias.
        small_size = (picture.shape[1] // factor, picture.shape[0] // factor)
        picture = np.asarray(
            cv2.resize(picture, small_size, interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
        matrix[:, :2] *= factor
    warped = cv2.warpAffine(picture, matrix, (_CROP_PX, _CROP_PX), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)


def _colours(crop: U8Array) -> NDArray[np.floating]:
    """Mean colours of a coarse grid, and how much they vary, around neutral grey."""
    lab = (rgb_to_lab(crop) - (50.0, 0.0, 0.0)) * _LAB_WEIGHTS
    side = _CROP_PX // _COLOUR_CELLS
    cells = lab.reshape(_COLOUR_CELLS, side, _COLOUR_CELLS, side, 3)
    return np.concatenate([cells.mean(axis=(1, 3)).ravel(), cells.std(axis=(1, 3)).ravel()])


def _proportions(points: NDArray[np.float64]) -> NDArray[np.floating]:
    """Lengths within the face that pose and expression change little, around usual ones."""
    size = np.linalg.norm(points[45] - points[36])
    lengths = np.array(
        [
            np.linalg.norm(points[42] - points[39]),
            np.linalg.norm(points[8] - points[27]),
            np.linalg.norm(points[33] - points[27]),
            np.linalg.norm(points[16] - points[0]),
            np.linalg.norm(points[12] - points[4]),
            np.linalg.norm(points[35] - points[31]),
            np.linalg.norm(points[54] - points[48]),
            np.linalg.norm(points[51] - points[33]),
            np.linalg.norm(points[17:27].mean(axis=0) - points[36:48].mean(axis=0)),
        ]
    )
    usual = np.array([0.4, 1.25, 0.52, 1.55, 1.3, 0.3, 0.58, 0.2, 0.28])
    return np.asarray((lengths / size - usual) / usual, dtype=np.float64)
