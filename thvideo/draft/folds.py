"""Folds of a draft's flow: where the picture would be seen folded over itself, and what to do.

A fold beside the face, in hair or background, is smoothed where it is: holding the whole head
back for it would cost the motion of everything. Only a face that itself folds is held back.

Shapes: B frames, n points along a side of an even grid over the crop.
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thvideo.imaging.warp import least_areas
from thvideo.landmarks.schema import N_IBUG_POINTS
from thvideo.shapes import BoolArray, F64Array

#: A face of which a larger share folds is held back; smaller folds are smoothed where they are.
FOLDED_SHARE = 0.01

#: A cell that shrinks below this share of its area counts as folded: it would look it.
_LEAST_AREA = 0.12

#: Smoothing aims a little higher, so that it ends.
_AIM = 0.15

#: Folds that remain after so many rounds stay: those of a frame ended within 40, if they ended.
_ROUNDS = 60


def unfolded(flow: Tensor, size_px: int) -> Tensor:
    """Smooth a flow where it folds, and nowhere else.

    Each frame by itself: what is drawn does not depend on who else is in the batch.

    Args:
        flow: ``[B, n, n, 2]`` displacements in pixels; 0 along the border, where it stays.
        size_px: Side of the crop.
    """
    smooth = flow
    for frame in torch.nonzero(least_areas(flow, size_px).flatten(1).amin(dim=1) < _LEAST_AREA):
        if smooth is flow:
            smooth = flow.clone()
        smooth[frame] = _unfolded(flow[frame], size_px)
    return smooth


def _unfolded(flow: Tensor, size_px: int) -> Tensor:
    planes = flow.permute(0, 3, 1, 2)
    for _ in range(_ROUNDS):
        areas = least_areas(planes.permute(0, 2, 3, 1), size_px)
        if areas.amin() >= _LEAST_AREA:
            break
        lack = ((_AIM - areas) / _AIM).clamp(0, 1)[:, None]
        # From the cells to their corners, and softly to those around.
        corners = functional.max_pool2d(functional.pad(lack, (1, 1, 1, 1)), 2, 1)
        around = functional.avg_pool2d(corners, 3, 1, padding=1)
        weight = torch.maximum(corners, around)[:, :, 1:-1, 1:-1]
        middle = planes[:, :, 1:-1, 1:-1]
        inner = torch.lerp(middle, functional.avg_pool2d(planes, 3, 1), weight)
        planes = planes.clone()
        planes[:, :, 1:-1, 1:-1] = inner
    return planes.permute(0, 2, 3, 1)


def face_fold_shares(flow: Tensor, points: F64Array, size_px: int) -> F64Array:
    """Return which share of each face's cells folds, ``[B]``.

    Args:
        flow: ``[B, n, n, 2]`` displacements in pixels.
        points: ``[B, 70, 2]`` where the faces are to be, in pixels.
        size_px: Side of the crop.
    """
    n_cells = flow.shape[1] - 1
    folded = (least_areas(flow, size_px) < _LEAST_AREA).cpu().numpy()
    faces = np.stack([_cells_of(face, n_cells, size_px) for face in points])
    n_folded = (folded & faces).sum(axis=(1, 2))
    shares: F64Array = n_folded / np.maximum(faces.sum(axis=(1, 2)), 1)
    return shares


def _cells_of(face: F64Array, n_cells: int, size_px: int) -> BoolArray:
    """Return the cells ``[n, n]`` that lie within a face's landmarks."""
    inside = np.zeros((n_cells, n_cells), np.uint8)
    hull = cv2.convexHull(face[:N_IBUG_POINTS].astype(np.float32))[:, 0]
    # OpenCV counts in cells' middles, and here in sixteenths of a cell.
    corners = hull * (n_cells / (size_px - 1)) - 0.5
    cv2.fillConvexPoly(inside, np.round(corners * 16).astype(np.int32), 1, shift=4)
    return inside.astype(np.bool_)
