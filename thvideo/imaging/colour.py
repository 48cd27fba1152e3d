"""Colours as eyes see them, and how those of a drawn crop differ from the picture's.

No statistics of the face are matched: a face in other light or with an open mouth has other
statistics for good reasons. Only along the rim, where crop and picture show the same place, must
their colours agree, and there the difference says what the generator added by mistake.
"""

import numpy as np

from thvideo.shapes import F32Array, F64Array, U8Array, check_shape

# Differences further than this from the median are another content, not another colour.
SAME_CONTENT = 8.0
# A larger offset than this is no colour cast: the rim shows something else.
MAX_OFFSET = 24.0

# Linear sRGB to CIE XYZ, and the white that Lab is relative to (D65, 2 degrees).
_XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def rim_offset(crops: U8Array, source: U8Array, rim: F32Array) -> F32Array:
    """Measure how much brighter each crop's rim is than the source's, in every channel.

    The mean of the differences near their median: hair or shoulders that moved over the rim
    count nothing as long as they cover less than half of it, and the value changes smoothly
    from frame to frame. A pure warp, whose rim rests, gives zero.

    Args:
        crops: `[B, S, S, 3]` drawn crops.
        source: `[S, S, 3]` the same crop of the untouched picture.
        rim: `[S, S]` weight of each pixel, 0 away from the rim.

    Returns:
        `[B, 3]` in steps of 1/255, to be subtracted from the crops.
    """
    size = check_shape(crops, "B S S 3")["S"]
    check_shape(source, "S S 3", S=size)
    check_shape(rim, "S S", S=size)
    rows, columns = np.nonzero(rim > 0)
    if len(rows) == 0:
        return np.zeros((len(crops), 3), dtype=np.float32)
    weight = rim[rows, columns][None, :, None]
    difference = crops[:, rows, columns].astype(np.float32) - source[rows, columns]  # [B, N, 3]
    middle = np.median(difference, axis=1, keepdims=True)
    # Weights fall to zero towards the limit so that no pixel enters or leaves with a jump.
    near = weight * np.clip(1 - np.abs(difference - middle) / SAME_CONTENT, 0, None)
    total = np.maximum(near.sum(axis=1), 1e-6)
    offset = (near * difference).sum(axis=1) / total
    return np.asarray(np.clip(offset, -MAX_OFFSET, MAX_OFFSET), dtype=np.float32)


def rgb_to_lab(picture: U8Array) -> F64Array:
    """Return a picture `[..., 3]` in sRGB as CIE Lab (D65), to the bit as scikit-image does.

    Written out here because scikit-image's own loads SciPy for it, which takes a quarter second
    before the first frame of every video.
    """
    rgb = picture * (1 / 255)
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ _XYZ_FROM_RGB.T / _WHITE
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
