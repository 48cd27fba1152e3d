"""The embedder: whose face is it, in 512 numbers.

Shapes: B pictures, S pixels along a side, N embedding size.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from thvideo.models.attention import attention_after
from thvideo.models.blocks import N_INPUTS, ResidualBlock, sum_pool
from thvideo.shapes import check_shape


class Embedder(nn.Module):
    """E of the paper: residual blocks without norm that halve the size, ReLU, sum pooling.

    Args:
        widths: channels after each block; the last is the embedding size.
        attention_stride: input pixels per cell at which self-attention stands (8 is 32x32 of
            256 pixels); None for none.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512),
        *,
        attention_stride: int | None = 8,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(n_in, n_out, down=True, first=index == 0)
            for index, (n_in, n_out) in enumerate(pairwise((N_INPUTS, *widths)))
        )
        self.attention = nn.ModuleDict(attention_after(widths, attention_stride, first_stride=2))

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Embed pictures one by one; the mean over the K of an episode is taken outside.

        Args:
            images: `[B, 3, S, S]` RGB in -1..1.
            maps: `[B, 3, S, S]` their landmark images in -1..1.

        Returns:
            `[B, N]`, not negative.

        Raises:
            ValueError: the shapes do not fit.
        """
        size = check_shape(images, "B 3 H W")
        check_shape(maps, "B 3 H W", **size)
        features = torch.cat([images, maps], dim=1)
        for index, block in enumerate(self.blocks):
            features = block(features)
            if str(index) in self.attention:
                features = self.attention[str(index)](features)
        return sum_pool(features)
