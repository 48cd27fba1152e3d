"""From landmarks to what a generator is shown: the head's spline between any two faces.

Unlike the warp generator, which knows one source, this works on batches in which every frame has
its own source, and its spline passes through lids, lips and irises too: what a smooth spline
cannot show there, a learned generator mends.
"""

import numpy as np
import torch
from torch import Tensor

from thvideo.imaging.warp import coarse_grid, fetch, solve_spline, spline_flow, upsample_flow
from thvideo.landmarks import schema
from thvideo.landmarks.control import border_points, head_inside, head_points
from thvideo.landmarks.pose import face_model, fit_pose, project
from thvideo.shapes import F32Array, F64Array, check_shape

#: Points of the coarse flow along a side.
FLOW_STEPS = 33

#: Smooths the spline: labels tremble, and a spline through all of them creases the skin. Lids,
#: irises and lips are followed more closely: there it is looked. Both fit best over pairs of
#: frames of people in the val split, of steps by factors of three.
_STIFFNESS, _STIFFNESS_LOOKED_AT = 3e-2, 3e-3

#: Over this share of the side the flow falls to 0 at the border.
_RIM = 0.05


def head_flow(
    source: F64Array | F32Array, target: F64Array | F32Array, size_px: int, device: torch.device
) -> Tensor:
    """Return the spline's flow that moves each source face onto its target.

    Args:
        source: ``[B, 70, 2]`` landmarks of the source crops, in pixels.
        target: ``[B, 70, 2]`` landmarks to move them to.
        size_px: Side of the crops.
        device: Where to solve.

    Returns:
        ``[B, n, n, 2]`` in pixels, n is ``FLOW_STEPS``: where the content of the moved face lies
        in the source.

    Raises:
        ValueError: A shape is wrong or a point is not finite.
    """
    sizes = check_shape(source, "B 70 2")
    check_shape(target, "B 70 2", B=sizes["B"])
    source, target = amid_eyes(source), amid_eyes(target)
    own_head = project(head_points(face_model()), fit_pose(source))
    new_head = project(head_points(face_model()), fit_pose(target))
    freedom = np.stack([head_inside(head, size_px) for head in own_head])[..., None]
    border = np.broadcast_to(border_points(size_px), (sizes["B"], *border_points(size_px).shape))
    moved = np.concatenate(
        [target - source, freedom * (new_head - own_head), np.zeros_like(border)], axis=1
    )
    centres = np.concatenate([source, own_head, border], axis=1) + moved
    spline = solve_spline(
        torch.from_numpy(centres).to(device, torch.float32),
        torch.from_numpy(-moved).to(device, torch.float32),
        _stiffness(centres.shape[1]),
        size_px / 2,
    )
    return calm_rim(spline_flow(spline, size_px, FLOW_STEPS))


def _stiffness(n_points: int) -> Tensor:
    stiffness = torch.full((n_points,), _STIFFNESS, dtype=torch.float64)
    for part in (schema.RIGHT_EYE, schema.LEFT_EYE, schema.MOUTH, schema.IRISES):
        stiffness[part] = _STIFFNESS_LOOKED_AT
    return stiffness


def calm_rim(flow: Tensor) -> Tensor:
    """Let a flow ``[B, n, n, 2]`` fall smoothly to exactly 0 at the border of its square."""
    line = torch.linspace(0, 1, flow.shape[1], device=flow.device)
    inward = (torch.minimum(line, 1 - line) / _RIM).clamp(0, 1)
    smooth = inward * inward * (3 - 2 * inward)
    return flow * (smooth[:, None] * smooth[None, :])[None, :, :, None]


def spline_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Warp pictures ``[B, C, S, S]`` by a coarse flow ``[B, n, n, 2]`` in pixels."""
    size_px = image.shape[-1]
    return fetch(image, upsample_flow(coarse_grid(flow, size_px), size_px))


def amid_eyes(points: F64Array | F32Array) -> F64Array:
    """Put unknown irises of ``[B, 70, 2]`` amid their eyes."""
    points = np.array(points, np.float64)
    for iris, eye in (
        (schema.RIGHT_IRIS, schema.RIGHT_EYE),
        (schema.LEFT_IRIS, schema.LEFT_EYE),
    ):
        lost = ~np.isfinite(points[:, iris]).all(axis=1)
        points[lost, iris] = points[lost, eye].mean(axis=1)
    return points
