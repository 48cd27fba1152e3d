"""Splines and warps against SciPy and plain arithmetic."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from thvideo.imaging.warp import (
    evaluate_spline,
    least_areas,
    solve_spline,
    spline_flow,
    upsample_flow,
)


def scattered(n_batch: int, n_points: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_batch, n_points, 2, generator=generator, dtype=torch.float64) * 255


@pytest.mark.parametrize("stiffness", [0.0, 0.3])
def test_spline_agrees_with_scipy(stiffness: float) -> None:
    centres, values, queries = scattered(3, 40), scattered(3, 40, 1), scattered(3, 200, 2)
    ours = evaluate_spline(solve_spline(centres, values, stiffness, unit_px=100.0), queries)
    for index in range(3):
        scipy = RBFInterpolator(
            centres[index].numpy() / 100.0,
            values[index].numpy(),
            kernel="thin_plate_spline",
            degree=1,
            smoothing=stiffness,
        )
        np.testing.assert_allclose(
            ours[index].numpy(), scipy(queries[index].numpy() / 100.0), atol=1e-6
        )


def test_spline_passes_through_its_values() -> None:
    centres, values = scattered(2, 30), scattered(2, 30, 1)
    spline = solve_spline(centres, values)
    torch.testing.assert_close(evaluate_spline(spline, centres), values, atol=1e-6, rtol=0)


def test_single_precision_stays_within_a_fiftieth_of_a_pixel() -> None:
    centres, values = scattered(1, 90), scattered(1, 90, 1) / 25
    exact = spline_flow(solve_spline(centres, values), 256, 33)
    single = spline_flow(solve_spline(centres.float(), values.float()), 256, 33)
    assert (exact - single).abs().max() < 0.02


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused_before_the_solve(bad: float) -> None:
    centres = scattered(2, 10)
    values = scattered(2, 10, 1)
    values[1, 3, 0] = bad
    with pytest.raises(ValueError, match="not finite"):
        solve_spline(centres, values)


def test_upsampled_flow_keeps_corners_and_lines() -> None:
    line = torch.linspace(-3, 3, 9)
    coarse = torch.stack(torch.meshgrid(line, 2 * line, indexing="xy"), dim=-1)[None]
    fine = upsample_flow(coarse, 65)
    exact = torch.linspace(-3, 3, 65)
    torch.testing.assert_close(fine[0, 7, :, 0], exact, atol=1e-5, rtol=0)
    torch.testing.assert_close(fine[0, :, 7, 1], 2 * exact, atol=1e-5, rtol=0)


def test_a_smooth_flow_has_no_folds_and_a_mirrored_one_has_only_folds() -> None:
    line = torch.linspace(0, 63, 17)
    x, _ = torch.meshgrid(line, line, indexing="xy")
    still = torch.zeros(1, 17, 17, 2)
    mirrored = still.clone()
    mirrored[..., 0] = 63 - 2 * x
    torch.testing.assert_close(least_areas(still, 64), torch.ones(1, 16, 16))
    torch.testing.assert_close(least_areas(mirrored, 64), -torch.ones(1, 16, 16))


def test_one_point_pushed_past_its_neighbour_folds_a_few_cells() -> None:
    flow = torch.zeros(1, 17, 17, 2)
    flow[0, 8, 8, 0] = 6.0
    assert (least_areas(flow, 65) < 0).sum() == 2
