"""Metrics against scikit-image and against numbers computed by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from thvideo.landmarks.bundled import BundledTracker
from thvideo.training.dataset import ClipTable, read_frames, read_labels
from thvideo.training.metrics import (
    correlation,
    landmark_errors,
    mouth_openings,
    psnr,
    ssim,
    track_near,
)


def _pair(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    pictures = np.stack([cv2.GaussianBlur(rng.random((height, width, 3)), (0, 0), 2)] * 2)
    noisy = pictures + rng.normal(0, [[[[0.02]]], [[[0.1]]]], pictures.shape)
    a, b = (torch.from_numpy(x.astype(np.float32) * 2 - 1) for x in (pictures, noisy))
    return a.permute(0, 3, 1, 2), b.permute(0, 3, 1, 2)


def test_ssim_equals_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = _pair()
    wanted = [
        metrics.structural_similarity(
            x.numpy().astype(np.float64),
            y.numpy().astype(np.float64),
            data_range=2.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b, 2.0).numpy(), wanted, atol=1e-4)
    assert wanted[1] < 0.9 * wanted[0]
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_allclose(ssim(a, b, 2.0).numpy(), wanted, atol=1e-4)


def test_ssim_of_equal_pictures_is_one_with_and_without_a_mask() -> None:
    a, _ = _pair()
    mask = torch.zeros(2, 1, 40, 56)
    mask[:, :, 5:30, 5:40] = 1
    torch.testing.assert_close(ssim(a, a, 2.0), torch.ones(2))
    torch.testing.assert_close(ssim(a, a, 2.0, mask), torch.ones(2))


def test_a_mask_cuts_the_pictures_to_what_counts() -> None:
    a, b = _pair()
    mask = torch.zeros(2, 1, 40, 56)
    mask[:, :, 6:30, 10:44] = 1
    inside_a, inside_b = a[:, :, 6:30, 10:44], b[:, :, 6:30, 10:44]
    torch.testing.assert_close(ssim(a, b, 2.0, mask), ssim(inside_a, inside_b, 2.0))
    torch.testing.assert_close(psnr(a, b, 2.0, mask), psnr(inside_a, inside_b, 2.0))
    assert ssim(a, b, 2.0, torch.zeros_like(mask)).isnan().all()
    assert psnr(a, b, 2.0, torch.zeros_like(mask)).isnan().all()


def test_psnr_is_that_of_the_mean_squared_error() -> None:
    black = torch.full((2, 3, 4, 4), -1.0)
    off = black.clone()
    off[0], off[1, :, :2] = off[0] + 0.2, 1.0
    got = psnr(black, off, 2.0)
    np.testing.assert_allclose(got.numpy(), [20.0, 10 * np.log10(2)], rtol=1e-5)
    assert psnr(black, black, 2.0).isinf().all()


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected shape"):
        ssim(torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 24), 2.0)
    with pytest.raises(ValueError, match="expected shape"):
        psnr(torch.zeros(1, 3, 20, 20), torch.zeros(1, 1, 20, 20), 2.0)


def _points(n_frames: int) -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 100, (n_frames, 70, 2)).astype(np.float32)
    points[:, 36], points[:, 45] = (30, 50), (70, 50)
    return points


def test_landmark_error_is_in_outer_eye_distances_over_known_points() -> None:
    wanted = _points(3)
    found = wanted + np.array([3, 4], np.float32)
    found[1, 68:] = np.nan
    found[2] = np.nan
    np.testing.assert_allclose(landmark_errors(found, wanted), [0.125, 0.125, np.nan], rtol=1e-5)


def test_mouth_opening_is_the_gap_of_the_inner_lips() -> None:
    points = _points(2)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[:, lower] = points[:, upper]
        points[1, lower, 1] += 10
    np.testing.assert_allclose(mouth_openings(points), [0, 0.25], rtol=1e-6)


def test_correlation_is_numpys_and_leaves_unknown_frames_out() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=50).astype(np.float32)
    b = (a + rng.normal(size=50)).astype(np.float32)
    wanted = np.corrcoef(a[1:], b[1:])[0, 1]
    a[0] = np.nan
    assert correlation(a, b) == pytest.approx(wanted, rel=1e-6)
    assert correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(correlation(a, np.ones_like(a)))
    assert np.isnan(correlation(a[:2], b[:2]))


def test_the_tracker_sees_true_frames_near_their_points_and_moved_ones_far(
    shared_data: Path,
) -> None:
    row = next(row for row in ClipTable(shared_data) if row.kind == "real")
    chosen = [0, row.n_frames // 2]
    frames = read_frames(shared_data, row, chosen)
    points = read_labels(shared_data, row).points[chosen]
    tracker = BundledTracker()
    near = landmark_errors(track_near(tracker, frames, points), points)
    moved = np.roll(frames, 12, axis=2)
    far = landmark_errors(track_near(tracker, moved, points), points)
    shift = 12 / np.linalg.norm(points[:, 45] - points[:, 36], axis=-1)
    assert (near < 0.06).all()
    np.testing.assert_allclose(far, shift, atol=0.06)
