"""Convolutions with a change of size give what both give one after the other."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thvideo.models.fused import RaisingConvolution, folded_in


def test_a_raising_convolution_sees_features_that_were_doubled() -> None:
    torch.manual_seed(0)
    layer, features = RaisingConvolution(5, 3), torch.randn(2, 5, 4, 6)
    doubled = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = functional.conv2d(doubled, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), expected)


@pytest.mark.parametrize("cell_px", [2, 4])
def test_pixels_are_folded_in_as_if_they_were_channels(cell_px: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6 * cell_px**2, 3, 3, padding=1)
    pictures = torch.randn(2, 6, 16, 24)
    expected = layer(functional.pixel_unshuffle(pictures, cell_px))
    torch.testing.assert_close(folded_in(pictures, layer, cell_px), expected)
