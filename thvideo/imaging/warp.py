"""Thin-plate splines and backward warps, batched, on the device.

Points are (x, y) in pixels of a square image whose pixel centres lie at whole numbers. A flow
says for every pixel of the result how far away its content lies in the source image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thvideo.shapes import check_shape

#: Squared distances below this count as this: keeps the logarithm finite at a centre.
_LEAST_SQUARE = 1e-20


@dataclass(frozen=True)
class Spline:
    """Solved splines: ``value(p) = sum_i weights_i U(|p - centre_i|) + affine (1, p)``.

    Args:
        centres: ``[B, N, 2]`` in units of ``unit_px``.
        weights: ``[B, N, 2]`` of the kernel ``U(r) = r^2 log r``.
        affine: ``[B, 3, 2]``.
        unit_px: What the centres and queries are divided by, for the kernel's conditioning.
    """

    centres: Tensor
    weights: Tensor
    affine: Tensor
    unit_px: float


def solve_spline(
    centres: Tensor, values: Tensor, stiffness: float = 0.0, unit_px: float = 256.0
) -> Spline:
    """Solve thin-plate splines that take given values at given points.

    Solved in double precision: the kernel's matrix is badly conditioned where points lie close.

    Args:
        centres: ``[B, N, 2]`` in pixels.
        values: ``[B, N, 2]``, for a flow displacements in pixels.
        stiffness: 0 passes through every value; more allows residuals for smoothness (the
            smoothing of SciPy's ``RBFInterpolator``, for centres in units of ``unit_px``).
        unit_px: A length like half the image.

    Returns:
        The splines, in the precision of ``centres``.

    Raises:
        ValueError: Shapes differ or a number is not finite (a solve would hang or spread it).
    """
    sizes = check_shape(centres, "B N 2")
    check_shape(values, "B N 2", B=sizes["B"], N=sizes["N"])
    if not (torch.isfinite(centres).all() and torch.isfinite(values).all()):
        raise ValueError("control points of the warp are not finite")
    # Apple's devices have no double precision: there the small systems are solved on the CPU.
    device = torch.device("cpu") if centres.device.type == "mps" else centres.device
    scaled = centres.to(device, torch.float64) / unit_px
    n_points = sizes["N"]
    kernel = _kernel(torch.cdist(scaled, scaled).square())
    # cdist leaves rounding on the diagonal, where the kernel is exactly 0.
    kernel.diagonal(dim1=1, dim2=2).fill_(stiffness)
    plane = torch.cat([torch.ones_like(scaled[..., :1]), scaled], dim=-1)  # [B, N, 3]
    system = scaled.new_zeros(sizes["B"], n_points + 3, n_points + 3)
    system[:, :n_points, :n_points] = kernel
    system[:, :n_points, n_points:] = plane
    system[:, n_points:, :n_points] = plane.mT
    right = scaled.new_zeros(sizes["B"], n_points + 3, 2)
    right[:, :n_points] = values.to(device, torch.float64)
    solved = torch.linalg.solve(system, right).to(centres.device, centres.dtype)
    return Spline(centres / unit_px, solved[:, :n_points], solved[:, n_points:], unit_px)


def evaluate_spline(spline: Spline, points: Tensor) -> Tensor:
    """Evaluate splines at points.

    Args:
        spline: ``B`` splines.
        points: ``[B, Q, 2]`` or ``[1, Q, 2]`` in pixels.

    Returns:
        Values ``[B, Q, 2]``.
    """
    scaled = points / spline.unit_px
    queries = torch.cat(
        [scaled.square().sum(-1, keepdim=True), torch.ones_like(scaled[..., :1]), -2 * scaled], -1
    )
    values = []
    # Frame by frame: one frame's kernel stays in the cache, and no batch changes its rounding.
    for index, centres in enumerate(spline.centres):
        query = queries[min(index, len(queries) - 1)]
        place = scaled[min(index, len(scaled) - 1)]
        pairs = torch.cat(
            [torch.ones_like(centres[:, :1]), centres.square().sum(-1, keepdim=True), centres], -1
        )
        squared = (query @ pairs.T).clamp_min_(_LEAST_SQUARE)
        kernel = torch.log(squared).mul_(squared)
        linear = torch.addmm(spline.affine[index, 0], place, spline.affine[index, 1:])
        values.append(torch.addmm(linear, kernel, 0.5 * spline.weights[index]))
    return torch.stack(values)


def _kernel(squared: Tensor) -> Tensor:
    """Return ``r^2 log r`` of squared distances, 0 at 0."""
    return 0.5 * squared * torch.log(squared.clamp_min(_LEAST_SQUARE))


def pixel_grid(n_steps: int, size_px: int, like: Tensor) -> Tensor:
    """Return ``[n_steps, n_steps, 2]`` evenly spaced points from the first pixel to the last."""
    line = torch.linspace(0, size_px - 1, n_steps, dtype=like.dtype, device=like.device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)


def spline_flow(spline: Spline, size_px: int, n_steps: int) -> Tensor:
    """Evaluate displacement splines on a coarse grid over a square image.

    Args:
        spline: ``B`` splines of displacements in pixels.
        size_px: Side of the image.
        n_steps: Points along a side.

    Returns:
        Coarse flow ``[B, n_steps, n_steps, 2]`` in pixels.
    """
    grid = pixel_grid(n_steps, size_px, spline.centres)
    flat = evaluate_spline(spline, grid.reshape(1, -1, 2))
    return flat.reshape(-1, n_steps, n_steps, 2)


def upsample_flow(flow: Tensor, size_px: int) -> Tensor:
    """Interpolate a coarse flow ``[B, n, n, 2]`` to every pixel, ``[B, S, S, 2]``."""
    # Planes that lie together: of two channels that lie side by side torch makes hard work.
    planes = flow.permute(0, 3, 1, 2).contiguous()
    fine = F.interpolate(planes, (size_px, size_px), mode="bilinear", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def fetch(image: Tensor, grid: Tensor) -> Tensor:
    """Fetch an image ``[1 | B, C, S, S]`` at positions ``[B, H, W, 2]`` in -1..1."""
    batch = image.expand(len(grid), -1, -1, -1)
    return F.grid_sample(batch, grid, mode="bilinear", padding_mode="border", align_corners=True)


def least_areas(flow: Tensor, size_px: int) -> Tensor:
    """Return how large each cell of a warp is of its size in the result; below 0 it is turned over.

    Args:
        flow: ``[B, n, n, 2]`` displacements in pixels on an even grid over the image.
        size_px: Side of the image.

    Returns:
        ``[B, n - 1, n - 1]``: the least of the areas at a cell's four corners.
    """
    n_steps = flow.shape[1]
    position = flow + pixel_grid(n_steps, size_px, flow)
    step = (size_px - 1) / (n_steps - 1)
    along_x = (position[:, :, 1:] - position[:, :, :-1]) / step
    along_y = (position[:, 1:] - position[:, :-1]) / step
    # Each corner pairs one of two horizontal with one of two vertical edges.
    areas = [
        x_edge[..., 0] * y_edge[..., 1] - x_edge[..., 1] * y_edge[..., 0]
        for x_edge in (along_x[:, :-1], along_x[:, 1:])
        for y_edge in (along_y[:, :, :-1], along_y[:, :, 1:])
    ]
    return torch.stack(areas).amin(dim=0)
