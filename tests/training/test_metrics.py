"""Metrics against scikit-image and against numbers computed by hand."""

import cv2
import numpy as np
import pytest
import torch

from thvideo.training.metrics import psnr, ssim


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
