"""Folds: smoothed where they are, and counted in the face alone."""

import numpy as np
import torch
from torch import Tensor

from thvideo.draft.folds import face_fold_shares, unfolded
from thvideo.imaging.warp import least_areas
from thvideo.landmarks.pose import Pose, face_model, project

SIZE_PX = 129
STEPS = 17


def still(n_frames: int = 1) -> Tensor:
    return torch.zeros(n_frames, STEPS, STEPS, 2)


def pushed(x: int, y: int, by_px: float) -> Tensor:
    """A point of the grid and its neighbours, pushed to the right past those beyond."""
    flow = still()
    flow[0, y - 1 : y + 2, x - 1 : x + 2, 0] = by_px
    return flow


def test_a_flow_without_folds_stays_as_it_is() -> None:
    flow = pushed(8, 8, 4.0)
    assert least_areas(flow, SIZE_PX).min() > 0.12
    assert unfolded(flow, SIZE_PX) is flow


def test_a_fold_is_smoothed_where_it_is() -> None:
    flow = pushed(11, 8, 13.0)
    assert least_areas(flow, SIZE_PX).min() < 0
    mended = unfolded(flow, SIZE_PX)
    assert least_areas(mended, SIZE_PX).min() >= 0.119
    # Most of the motion stays, and nothing far away has begun to move.
    assert mended[0, 8, 11, 0] > 8
    assert mended[0, :, :6].abs().max() == 0
    for border in (mended[:, 0], mended[:, -1], mended[:, :, 0], mended[:, :, -1]):
        assert border.abs().max() == 0


def test_a_frame_is_mended_alike_whoever_is_beside_it() -> None:
    first, second = pushed(11, 8, 13.0), pushed(6, 6, 20.0)
    together = unfolded(torch.cat([first, still(), second]), SIZE_PX)
    torch.testing.assert_close(together[:1], unfolded(first, SIZE_PX), atol=0, rtol=0)
    torch.testing.assert_close(together[2:], unfolded(second, SIZE_PX), atol=0, rtol=0)
    assert together[1].abs().max() == 0


def test_only_folds_in_the_face_are_counted() -> None:
    place = np.array([[SIZE_PX / 2, SIZE_PX / 2]])
    face = project(face_model(), Pose(np.eye(3)[None], np.array([40.0]), place))
    beside, amid = pushed(14, 3, 13.0), pushed(8, 8, 13.0)
    shares = face_fold_shares(torch.cat([beside, amid]), np.repeat(face, 2, axis=0), SIZE_PX)
    assert shares[0] == 0
    assert 0.02 < shares[1] < 0.3
