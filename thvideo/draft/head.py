"""Where a head is in a picture, hair and hat included: the picture itself says where it ends.

Landmarks know nothing of hair. Where a head has moved away, nothing of it may stay behind, and
where the wall beside it is, nothing may move.
"""

import cv2
import numpy as np

from thvideo.landmarks.control import HEAD_ROOM, head_outline
from thvideo.landmarks.draw import soft_edged
from thvideo.landmarks.schema import N_IBUG_POINTS
from thvideo.shapes import F32Array, F64Array, U8Array, check_shape

#: Hair reaches no farther than so many times the outline that landmarks give.
_REACH = 1.6

#: Fewer pixels than this, of head or of what is behind it, tell nothing apart.
_LEAST_PX = 64

#: Larger pictures are looked at in this size: it takes 50 ms, and thirty times as long for thrice.
_MOST_PX = 128

#: Rounds in which colours of head and background are told apart; more change next to nothing.
_ROUNDS = 3

#: The edge is moved outwards by this share of the side: single hairs lie beyond it.
_ROOM = 1 / 40

_IS_HEAD = (cv2.GC_FGD, cv2.GC_PR_FGD)


def find_head(picture: U8Array, landmarks: F32Array | F64Array) -> U8Array:
    """Find where the head is, soft at its edge; the same picture gives the same head.

    Colours tell it from what is behind it (GrabCut, Rother et al. 2004). The face and the outline
    that landmarks give, without its room, are head however much they look like the wall.

    Args:
        picture: ``[S, S, 3]`` RGB.
        landmarks: ``[70, 2]`` in pixels of the picture.

    Returns:
        ``[S, S]``, 255 within the head.
    """
    shown_px = check_shape(picture, "S S 3")["S"]
    size_px = min(shown_px, _MOST_PX)
    if size_px < shown_px:
        picture = np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA))
        landmarks = (np.asarray(landmarks, np.float64) + 0.5) * (size_px / shown_px) - 0.5
    outline, face = head_outline(landmarks), landmarks[:N_IBUG_POINTS]
    known = np.full((size_px, size_px), cv2.GC_BGD, np.uint8)
    _fill(known, outline, _REACH, cv2.GC_PR_BGD)
    _fill(known, outline, 1.0, cv2.GC_PR_FGD)
    _fill(known, face, 1.0, cv2.GC_FGD)
    if _LEAST_PX < np.isin(known, _IS_HEAD).sum() < known.size - _LEAST_PX:
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.grabCut(bgr, known, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    head = np.where(np.isin(known, _IS_HEAD), 255, 0).astype(np.uint8)
    _fill(head, outline, 1 / HEAD_ROOM, 255)
    room = 2 * round(_ROOM * size_px) + 1
    grown = cv2.dilate(head, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (room, room)))
    soft = soft_edged(np.asarray(grown, np.uint8))
    return soft if size_px == shown_px else np.asarray(cv2.resize(soft, (shown_px, shown_px)))


def _fill(mask: U8Array, corners: F32Array | F64Array, grown: float, value: int) -> None:
    """Fill the hull of points ``[N, 2]``, grown from its middle."""
    middle = corners.mean(axis=0)
    hull = cv2.convexHull(np.round(middle + grown * (corners - middle)).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, value)
