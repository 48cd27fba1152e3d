"""The projection discriminator: is this picture real, does it fit its landmarks and its person.

`r = v . (W_i + w_0) + b`, where `v` is what the convolutions see in picture and landmark image
(section 3.3 of arXiv:1905.08233).

Shapes: B pictures, S pixels along a side, N embedding size.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.attention import attention_after
from thvideo.models.blocks import N_INPUTS, ResidualBlock, sum_pool
from thvideo.shapes import check_shape

# The columns start where an embedding can be: a sum of ReLUs is not negative. From columns around
# 0 the matching loss kills nine of ten values of the paper's embedding within 40 steps. w_0
# starts at minus their mean, so that scores start around 0, where the hinge has a slope.
_COLUMN_START = 0.5


class Judged(NamedTuple):
    """What the discriminator says.

    Attributes:
        score: `[B]`, any real number; high is real.
        features: the activations after each residual block, for feature matching.
    """

    score: Tensor
    features: list[Tensor]


class Discriminator(nn.Module):
    """Convolutions `V`, one embedding column `W_i` for each training video, `w_0` and `b`.

    All blocks but the last halve the size; the last keeps it. The columns are one table with
    sparse gradients: a step costs the videos it saw, not the 145,000 of VoxCeleb2.

    Args:
        n_videos: number of columns of W.
        widths: channels after each block that halves the size; the last is the embedding size.
        attention_stride: input pixels per cell at which self-attention stands (8 is 32x32 of
            256 pixels); None for none.
        unshuffle: 2 moves each 2x2 pixels into channels first, which costs a quarter.

    Attributes:
        columns: W, as an embedding `[n_videos, N]`.
        w_0: `[N]`, what all videos share.
        bias: b.
    """

    def __init__(
        self,
        n_videos: int,
        widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512),
        *,
        attention_stride: int | None = 8,
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        n_inputs = N_INPUTS * unshuffle**2
        self.blocks = nn.ModuleList(
            ResidualBlock(n_in, n_out, down=True, first=index == 0)
            for index, (n_in, n_out) in enumerate(pairwise((n_inputs, *widths)))
        )
        self.blocks.append(ResidualBlock(widths[-1], widths[-1]))
        self.attention = nn.ModuleDict(
            attention_after(widths, attention_stride, first_stride=2 * unshuffle)
        )
        self.columns = nn.Embedding(n_videos, widths[-1], sparse=True)
        self.w_0 = nn.Parameter(torch.full((widths[-1],), -_COLUMN_START / 2))
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.uniform_(self.columns.weight, 0.0, _COLUMN_START)

    def video_weights(self, videos: Tensor) -> Tensor:
        """`W_i + w_0` of training videos.

        Args:
            videos: `[B]` int64, the videos' rows of W.

        Returns:
            `[B, N]`.
        """
        weights: Tensor = self.columns(videos) + self.w_0
        return weights

    def forward(self, images: Tensor, maps: Tensor, w: Tensor) -> Judged:
        """Judge pictures.

        Args:
            images: `[B, 3, S, S]` RGB in -1..1.
            maps: `[B, 3, S, S]` their landmark images in -1..1.
            w: `[B, N]` or `[1, N]`: `W_i + w_0` of the video each picture should be of.

        Returns:
            Scores and features.

        Raises:
            ValueError: the shapes do not fit.
        """
        size = check_shape(images, "B 3 H W")
        check_shape(maps, "B 3 H W", **size)
        features = torch.cat([images, maps], dim=1)
        if self.unshuffle > 1:
            features = functional.pixel_unshuffle(features, self.unshuffle)
        seen: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            features = block(features)
            seen.append(features)
            if str(index) in self.attention:
                features = self.attention[str(index)](features)
        score = (sum_pool(features) * w.float()).sum(dim=1) + self.bias
        return Judged(score, seen)
