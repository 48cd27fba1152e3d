"""Convolutions with the change of size beside them: the same result for less work.

Shapes: B pictures, C channels, H and W height and width in cells, S pixels along a side.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class RaisingConvolution(nn.Conv2d):
    """A convolution of 3 x 3 cells of features whose side was doubled, nearest neighbour.

    Doubled cells meet several weights, which are added up first: 4 products in place of 9.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, n_in, H, W]`` to ``[B, n_out, 2 H, 2 W]``."""
        height, width = features.shape[2:]
        assert self.bias is not None
        # A kernel of 2 x 2 for each of the four that one cell becomes, row by row.
        kernels = [half for row in _paired(self.weight.float(), 2) for half in _paired(row, 3)]
        found = functional.conv2d(features, torch.cat(kernels), self.bias.repeat(4), padding=1)
        parts = found.permute(0, 2, 3, 1).chunk(4, dim=3)  # each [B, H + 1, W + 1, n_out]
        rows = [
            torch.stack([parts[2 * i + j][:, i : i + height, j : j + width] for j in (0, 1)], 3)
            for i in (0, 1)
        ]  # each [B, H, W, 2, n_out]
        return torch.stack(rows, 2).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _paired(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Add up weights that meet the same cell: of the first and of the second half of a cell."""
    first, middle, last = weight.unbind(dim)
    return torch.stack([first, middle + last], dim), torch.stack([first + middle, last], dim)


def folded_in(pictures: Tensor, layer: nn.Conv2d, cell_px: int) -> Tensor:
    """Convolve pictures ``[B, C, S, S]`` after folding cells of pixels into channels.

    As ``layer(pixel_unshuffle(pictures, cell_px))`` for 3 x 3 cells, and faster: the pixels stay
    where they are, and the kernel covers 3 x 3 cells of them.
    """
    kernel = functional.pixel_shuffle(layer.weight, cell_px)
    return functional.conv2d(pictures, kernel, layer.bias, stride=cell_px, padding=cell_px)
