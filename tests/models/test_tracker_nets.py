"""The tracker's networks: decoding is exact, folding changes nothing."""

import numpy as np
import torch

from thvideo.models.detector import (
    STRIDE_PX,
    DetectorNet,
    boxes_from_raw,
    pick_peaks,
    suppress_overlaps,
)
from thvideo.models.landmark_net import (
    CELL_PX,
    CROP_PX,
    N_POINTS,
    LandmarkNet,
    cells_to_px,
    fold_norms,
    soft_argmax,
)


def _shake_norms(net: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            with torch.no_grad():
                module.weight.copy_(torch.rand(shape, generator=generator) + 0.5)
    return net.eval()


def test_soft_argmax_equals_the_expectation_that_numpy_computes() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (2, 3, 8, 8)).astype(np.float32)
    weights = np.exp(logits.astype(np.float64))
    weights /= weights.sum(axis=(2, 3), keepdims=True)
    rows, columns = np.mgrid[:8, :8]
    wanted = np.stack([(weights * columns).sum((2, 3)), (weights * rows).sum((2, 3))], axis=-1)
    np.testing.assert_allclose(soft_argmax(torch.from_numpy(logits)).numpy(), wanted, atol=1e-5)


def test_cell_centres_are_the_middle_of_their_pixels() -> None:
    first = cells_to_px(torch.tensor([0.0]))
    assert first.item() == np.mean(range(CELL_PX))


def test_folded_norms_give_the_same_maps() -> None:
    torch.manual_seed(0)
    net = _shake_norms(LandmarkNet())
    crops = torch.rand(2, 3, CROP_PX, CROP_PX)
    with torch.inference_mode():
        maps, face = net(crops)
        folded_maps, folded_face = fold_norms(net)(crops)
    assert maps.shape == (2, N_POINTS, CROP_PX // CELL_PX, CROP_PX // CELL_PX)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    torch.testing.assert_close(folded_maps, maps, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(folded_face, face, atol=2e-3, rtol=1e-3)


def test_raw_boxes_decode_to_pixels_around_their_cell() -> None:
    raw = torch.zeros(1, 4, 3, 4)
    raw[0, :, 1, 2] = torch.tensor([0.5, -0.25, np.log(2.0), np.log(3.0)])
    x0, y0, x1, y1 = boxes_from_raw(raw)[0, 1, 2].tolist()
    np.testing.assert_allclose(
        [(x0 + x1) / 2, (y0 + y1) / 2], [2.5 * STRIDE_PX - 0.5 + 4, 1.5 * STRIDE_PX - 0.5 - 2]
    )
    np.testing.assert_allclose([x1 - x0, y1 - y0], [16, 24], rtol=1e-6)


def test_peaks_are_local_maxima_above_the_threshold_best_first() -> None:
    logits = torch.full((1, 8, 8), -6.0)
    logits[0, 1, 1], logits[0, 1, 2], logits[0, 6, 6] = 2.0, 1.0, 3.0
    boxes = boxes_from_raw(torch.zeros(1, 4, 8, 8))
    (found,) = pick_peaks(logits, boxes, 0.5)
    np.testing.assert_allclose(found[:, 4], torch.tensor([3.0, 2.0]).sigmoid(), rtol=1e-6)
    np.testing.assert_allclose(found[0, :4], boxes[0, 6, 6])


def test_of_overlapping_boxes_the_best_stays_and_a_box_within_a_box_goes() -> None:
    found = torch.tensor(
        [
            [0, 0, 40, 40, 0.9],
            [4, 4, 44, 44, 0.8],
            [10, 10, 20, 20, 0.7],
            [60, 0, 90, 30, 0.6],
        ]
    )
    assert suppress_overlaps(found)[:, 4].tolist() == found[[0, 3], 4].tolist()


def test_no_peaks_give_an_empty_list_of_five_columns() -> None:
    (found,) = pick_peaks(torch.full((1, 4, 4), -9.0), torch.zeros(1, 4, 4, 4), 0.5)
    assert found.shape == (0, 5)


def test_detector_maps_have_an_eighth_of_the_size() -> None:
    with torch.inference_mode():
        logits, boxes = DetectorNet().eval()(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 8, 12)
    assert boxes.shape == (2, 8, 12, 4)
