"""The crop that the bundled landmark network sees, and the way back to the picture."""

import cv2
import numpy as np

from thvideo.shapes import F32Array, U8Array

# The crop's side over the face box's side: room for a box that is off by a quarter.
CROP_MARGIN = 1.45


def crop_matrix(box: F32Array, size_px: int, margin: float = CROP_MARGIN) -> F32Array:
    """Affine map from picture pixels to the pixels of an upright crop.

    Args:
        box: `[4]` centre x, centre y, side (pixels), roll (radians).
        size_px: side of the crop.
        margin: side of the crop over side of the box.

    Returns:
        `[2, 3]`; both pictures have pixel centres at whole numbers.
    """
    centre_x, centre_y, side, roll = (float(value) for value in box)
    scale = size_px / (side * margin)
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    middle = (size_px - 1) / 2
    return np.array(
        [
            [cos, sin, middle - cos * centre_x - sin * centre_y],
            [-sin, cos, middle + sin * centre_x - cos * centre_y],
        ],
        dtype=np.float32,
    )


def warp_crop(
    frame: U8Array, matrix: F32Array, size_px: int, border: int = cv2.BORDER_REPLICATE
) -> U8Array:
    """Cut a crop with one bilinear warp, shrinking by areas first where it is much smaller.

    Args:
        frame: `[H, W, 3]` RGB.
        matrix: `[2, 3]` picture to crop.
        size_px: side of the crop.
        border: what OpenCV puts outside the picture.

    Returns:
        `[size, size, 3]` RGB.
    """
    full = np.vstack([matrix, [0, 0, 1]]).astype(np.float64)
    scale = float(np.sqrt(abs(np.linalg.det(full[:2, :2]))))
    factor = int(1.0 / scale) if scale > 0 else 1
    if factor >= 2:
        frame, full = _shrink_region(frame, full, factor, size_px)
    return np.asarray(
        cv2.warpAffine(
            frame, full[:2], (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=border
        ),
        dtype=np.uint8,
    )


def apply_affine(matrix: F32Array, points: F32Array) -> F32Array:
    """Map points `[..., 2]` by a `[2, 3]` matrix."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)


def invert_affine(matrix: F32Array) -> F32Array:
    """The inverse of a `[2, 3]` matrix."""
    linear = np.linalg.inv(matrix[:, :2].astype(np.float64))
    shift = -linear @ matrix[:, 2].astype(np.float64)
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def _shrink_region(
    frame: U8Array, full: np.ndarray, factor: int, size_px: int
) -> tuple[U8Array, np.ndarray]:
    """Area-average the part of the frame that the crop needs by a whole factor."""
    corners = np.array([[0, 0, 1], [size_px, 0, 1], [0, size_px, 1], [size_px, size_px, 1]])
    seen = (np.linalg.inv(full) @ corners.T)[:2].T
    height, width = frame.shape[:2]
    # Aligned to the factor, so that a moving box does not shift the averaging grid.
    low = np.clip(np.floor(seen.min(axis=0) / factor - 1) * factor, 0, None).astype(int)
    high = np.ceil(seen.max(axis=0) / factor + 1).astype(int) * factor
    high = np.minimum(high, [width // factor * factor, height // factor * factor])
    if (high - low).min() < factor:
        return frame, full
    region = frame[low[1] : high[1], low[0] : high[0]]
    cells = ((high - low) // factor).tolist()
    small = cv2.resize(region, (cells[0], cells[1]), interpolation=cv2.INTER_AREA)
    # Centres: small = (big - low + 0.5) / factor - 0.5.
    offset = low + (factor - 1) / 2
    back = np.array([[factor, 0, offset[0]], [0, factor, offset[1]], [0, 0, 1]], dtype=np.float64)
    return np.asarray(small, dtype=np.uint8), full @ back
