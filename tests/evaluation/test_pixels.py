"""Figures of pixels, against numbers known beforehand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thvideo.evaluation.pixels import perceptual_distances, pixel_figures, seam_contrast
from thvideo.models.perceptual import PERCEPTUAL, PerceptualNet, content_loss, lpips_distance

CPU = torch.device("cpu")
SIDE = 64


class _Activations(nn.Module):
    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, nn.functional.avg_pool2d(images, 4)]


def _net(*, has_linear: bool) -> PerceptualNet:
    linear = (torch.tensor([0.2, 0.3, 0.5]),) * 2 if has_linear else ()
    return PerceptualNet(
        PERCEPTUAL["lpips-squeeze" if has_linear else "squeezenet"], _Activations(), linear
    )


def _pictures(seed: int, n: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 235, (n, SIDE, SIDE, 3)).astype(np.uint8)


def _half_mask() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:, : SIDE // 2] = True
    return mask


def test_true_frames_are_perfect() -> None:
    truth = _pictures(0)
    region = np.full(truth.shape[:3], 255, np.uint8)
    found = pixel_figures(truth, truth, _half_mask(), region)
    np.testing.assert_allclose(found["ssim"], 1, atol=1e-6)
    assert np.isinf(found["psnr"]).all()
    assert not found["l1"].any()
    assert not found["region_l1"].any()


def test_differences_are_means_over_what_counts() -> None:
    truth, mask = _pictures(0), _half_mask()
    drawn = truth.copy()
    drawn[:, :, :16] += 10
    drawn[:, :, SIDE // 2 :] = 0
    region = np.zeros(truth.shape[:3], np.uint8)
    region[:, 10:20, 8:24] = 255
    found = pixel_figures(drawn, truth, mask, region)
    step = 2 / 255
    np.testing.assert_allclose(found["l1"], 5 * step, rtol=1e-4)
    np.testing.assert_allclose(found["region_l1"], 5 * step, rtol=1e-4)
    np.testing.assert_allclose(found["psnr"], 10 * np.log10(255**2 / 50), rtol=1e-4)


def test_pixels_outside_the_mask_change_no_figure() -> None:
    truth, drawn, mask = _pictures(0), _pictures(1), _half_mask()
    region = np.full(truth.shape[:3], 255, np.uint8)
    other = drawn.copy()
    other[:, :, SIDE // 2 :] = 255
    for name, values in pixel_figures(drawn, truth, mask, region).items():
        again = pixel_figures(other, truth, mask, region)[name]
        np.testing.assert_allclose(values, again, rtol=1e-5, err_msg=name)
    for has_linear in (False, True):
        net = _net(has_linear=has_linear)
        found = [perceptual_distances(net, x, truth, mask, CPU) for x in (drawn, other)]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
        assert (found[0] > 0).all()


@pytest.mark.parametrize("has_linear", [False, True])
def test_a_whole_picture_has_the_distance_of_the_presets_own_function(has_linear: bool) -> None:
    truth, drawn, net = _pictures(0), _pictures(1), _net(has_linear=has_linear)
    a, b = (torch.from_numpy(x).movedim(3, 1).float() / 127.5 - 1 for x in (drawn, truth))
    found = perceptual_distances(net, drawn, truth, np.ones((SIDE, SIDE), bool), CPU)
    if has_linear:
        wanted = lpips_distance(net, a, b).numpy()
    else:
        wanted = np.array([float(content_loss(net, a[i : i + 1], b[i : i + 1])) for i in range(9)])
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_resting_rim_has_no_seam_and_a_colour_cast_is_no_seam_either() -> None:
    source = np.full((SIDE, SIDE, 3), 100, np.uint8)
    drawn = np.repeat(source[None], 3, axis=0)
    drawn[0, 20:40, 20:40] = 200  # the face moves, the rim rests
    drawn[1] += 6
    drawn[2, ::2] += 4
    whole = np.array([0, 0, SIDE, SIDE], np.float32)
    found = seam_contrast(drawn, source, whole)
    np.testing.assert_allclose(found, [0, 0, 2], atol=0.15)


def test_a_crop_that_ends_with_its_picture_has_no_seam_to_measure() -> None:
    source = _pictures(0, 1)[0]
    inside = np.array([3, 3, SIDE - 3, SIDE - 3], np.float32)
    assert np.isnan(seam_contrast(source[None], source, inside)).all()
