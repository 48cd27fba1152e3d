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

# w_0 starts at minus the columns' mean, so that scores start around 0, where the hinge has a slope,
# and a little to all sides, so that features learn even where the columns start at 0.
_W_0_SPREAD = 0.006

# How much louder than the mean of 2x2 pixels their differences are made. Pictures hold little fine
# detail, and what was drawn differs from what was filmed in just that: without this the swift
# discriminator had learned next to nothing after 150 steps.
_DETAIL_GAIN = 4.0


class Judged(NamedTuple):
    """What the discriminator says.

    Attributes:
        score: `[B]`, or `[B, s * s]` for each cell of its own; any real number, high is real.
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
        haar: move each 2x2 pixels into channels first, as their mean and three louder
            differences; this costs a quarter.
        gain: what each block's output is multiplied by: under spectral norm the differences of
            natural pictures shrink from block to block.
        by_cell: judge each cell of the last block for itself instead of their sum.
        column_start: columns start between 0 and this. The paper's embedding is a sum of ReLUs
            and so not negative: from columns around 0 the matching loss kills nine of ten of its
            values within 40 steps.
        patch_widths: widths of discriminators of mouths and of eyes, which judge patches as this
            one does pictures, with the shapes of lips or lids in the landmark image's place and
            for all videos alike; none for no such discriminators.

    Attributes:
        columns: W, as an embedding `[n_videos, N]`.
        w_0: `[N]`, what all videos share.
        bias: b.
        patches: the discriminators of patches: none, or `mouth` and `eyes`.
    """

    def __init__(
        self,
        n_videos: int,
        widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512),
        *,
        attention_stride: int | None = 8,
        haar: bool = False,
        gain: float = 1.0,
        by_cell: bool = False,
        column_start: float = 0.5,
        patch_widths: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.haar, self.gain, self.by_cell = haar, gain, by_cell
        step = 2 if haar else 1
        self.blocks = nn.ModuleList(
            ResidualBlock(n_in, n_out, down=True, first=index == 0)
            for index, (n_in, n_out) in enumerate(pairwise((N_INPUTS * step**2, *widths)))
        )
        self.blocks.append(ResidualBlock(widths[-1], widths[-1]))
        self.attention = nn.ModuleDict(
            attention_after(widths, attention_stride, first_stride=2 * step)
        )
        self.columns = nn.Embedding(n_videos, widths[-1], sparse=True)
        spread = _W_0_SPREAD * torch.randn(widths[-1])
        self.w_0 = nn.Parameter(spread - column_start / 2)
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.uniform_(self.columns.weight, 0.0, column_start)
        self.patches = nn.ModuleDict(
            {
                name: Discriminator(
                    1,
                    patch_widths,
                    attention_stride=None,
                    haar=haar,
                    gain=gain,
                    by_cell=by_cell,
                    column_start=0.0,
                )
                for name in ("mouth", "eyes")
                if patch_widths
            }
        )

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
        if self.haar:
            features = haar(features, _DETAIL_GAIN)
        seen: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            features = self.gain * block(features)
            seen.append(features)
            if str(index) in self.attention:
                features = self.attention[str(index)](features)
        if self.by_cell:
            cells = functional.relu(features.float()).flatten(2)
            return Judged(
                torch.einsum("bnc,bn->bc", cells, w.float().expand(len(cells), -1)) + self.bias,
                seen,
            )
        score = (sum_pool(features) * w.float()).sum(dim=1) + self.bias
        return Judged(score, seen)


def haar(pictures: Tensor, detail_gain: float = 1.0) -> Tensor:
    """Split each 2x2 pixels into half their sum and half their differences.

    Args:
        pictures: `[B, C, H, W]`, H and W even.
        detail_gain: what the differences are multiplied by; with 1 no length changes.

    Returns:
        `[B, 4 C, H / 2, W / 2]`: of each channel the sum, then the differences along x, along y
        and along both.
    """
    rows = [(pictures[:, :, y::2, 0::2], pictures[:, :, y::2, 1::2]) for y in (0, 1)]
    (a, b), (c, d) = rows
    parts = [
        a + b + c + d,
        *(detail_gain * x for x in (a - b + c - d, a + b - c - d, a - b - c + d)),
    ]
    return 0.5 * torch.stack(parts, dim=2).flatten(1, 2)
