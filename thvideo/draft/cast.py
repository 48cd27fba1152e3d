"""The cast of a picture's colours, as its skin shows it: varnish, evening light, a tired palette.

Networks that learned from photographs draw grey-blue teeth into a face of yellow varnish. They are
shown every picture as if its skin were that of a photograph, and what they add gets the cast back.
"""

import cv2
import numpy as np
import torch

from thvideo.draft.mouth import cheek_places
from thvideo.shapes import F32Array, U8Array, check_shape

#: Cheeks of the people that the shipped weights were trained on, each channel over their mean:
#: medians of 112 people's first frames, averaged.
_SKIN = np.array([1.305, 0.915, 0.78])

#: Nothing is multiplied by less or more: what lies farther is no cast but paint.
_LEAST, _MOST = 0.6, 1.8


def cast_of(crop: U8Array, landmarks: F32Array) -> F32Array:
    """Measure by what each channel of a crop has to be multiplied to lose its cast.

    Stone and grey photographs have no cast: the less coloured the skin is, the less is changed.

    Args:
        crop: ``[S, S, 3]`` RGB.
        landmarks: ``[70, 2]`` in pixels of the crop.

    Returns:
        ``[3]``.
    """
    size_px = check_shape(crop, "S S 3")["S"]
    places = cheek_places(torch.from_numpy(landmarks)).reshape(-1, 2).round().long()
    x, y = places.clamp(0, size_px - 1).T.numpy()
    skin = np.median(crop[y, x], axis=0).clip(1)
    skin = skin / skin.mean()
    colour = min(1.0, float(np.linalg.norm(skin - 1) / np.linalg.norm(_SKIN - 1)))
    return np.clip((_SKIN / skin) ** colour, _LEAST, _MOST).astype(np.float32)


def without_cast(pictures: U8Array, cast: F32Array) -> U8Array:
    """Take a cast ``[3]`` from pictures ``[B, S, S, 3]``."""
    values = np.arange(256, dtype=np.float32)[:, None] * cast
    table = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    rows = pictures.reshape(-1, pictures.shape[2], 3)
    return np.asarray(cv2.LUT(rows, table[None]), np.uint8).reshape(pictures.shape)
