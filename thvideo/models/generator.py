"""The paper's generator: a landmark image in, a picture of the embedded person out.

Shapes: B frames, S pixels along a side, N embedding size.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from thvideo.models.attention import SelfAttention, attention_after
from thvideo.models.blocks import (
    AdaptiveBlock,
    AdaptiveOutput,
    AdaptiveProjection,
    ResidualBlock,
)
from thvideo.models.shown import Drawn, Shown
from thvideo.shapes import check_shape

_DOWN_ATTENTION_CELLS, _UP_ATTENTION_CELLS = 32, 64


@dataclass(frozen=True)
class PaperOptions:
    """The architecture of the paper preset's embedder and generator.

    Args:
        size_px: Side of the pictures that the networks are trained on.
        embedder_widths: Channels of E after each block that halves the side; the last is the
            size of the embedding.
        widths: Channels of G after each block that halves the side. The way up has the same in
            reverse, and one block more at the start that keeps the last of them.
        n_same: Residual blocks at the smallest side (a co-author's later code has 4).
        attention: Self-attention, on the way down at 32 x 32 in E and G and on the way up at
            64 x 64 in G.
    """

    size_px: int = 256
    embedder_widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    n_same: int = 5
    attention: bool = True

    @property
    def down_attention_stride(self) -> int | None:
        """Pixels per cell at which self-attention stands on the way down; None for none."""
        return self.size_px // _DOWN_ATTENTION_CELLS if self.attention else None

    @property
    def up_attention_stride(self) -> int | None:
        """Pixels per cell at which self-attention stands on the way up; None for none."""
        return self.size_px // _UP_ATTENTION_CELLS if self.attention else None


class PaperGenerator(nn.Module):
    """G and P of the paper. Of what it is shown it looks at the landmark image alone.

    Down: blocks with affine instance norm. Middle and up: blocks with AdaIN, whose parameters
    come from the embedding through P. Last: AdaIN, ReLU, convolution, tanh.

    Args:
        options: the architecture.
    """

    def __init__(self, options: PaperOptions) -> None:
        super().__init__()
        widths = options.widths
        up_widths = (widths[-1], *widths[::-1])
        self.down = nn.ModuleList(
            ResidualBlock(n_in, n_out, norm="instance", down=True, first=index == 0)
            for index, (n_in, n_out) in enumerate(pairwise((3, *widths)))
        )
        same = [AdaptiveBlock(widths[-1], widths[-1]) for _ in range(options.n_same)]
        up = [AdaptiveBlock(n_in, n_out, up=True) for n_in, n_out in pairwise(up_widths)]
        last = AdaptiveOutput(widths[0], 3)
        self.adaptive = nn.ModuleList([*same, *up])
        self.last = last
        self.projection = AdaptiveProjection(options.embedder_widths[-1], [*same, *up, last])
        self.down_attention = nn.ModuleDict(attention_after(widths, options.down_attention_stride))
        self.up_attention = nn.ModuleDict(_attention_on_the_way_up(options))

    def adain_parameters(self, embedding: Tensor) -> Tensor:
        """`psi_i = P e_i`: all AdaIN parameters of a person.

        Args:
            embedding: `[B, N]`.

        Returns:
            `[B, n_adain]`; fine-tuning makes them free parameters.
        """
        parameters: Tensor = self.projection(embedding)
        return parameters

    def forward(self, shown: Shown, adain: Tensor) -> Drawn:
        """Draw frames.

        Args:
            shown: the landmark images to draw; everything else in it is left aside.
            adain: `[B, n_adain]`.

        Returns:
            The pictures; there is no warp.

        Raises:
            ValueError: the shapes do not fit.
        """
        size = check_shape(shown.target_map, "B 3 H W")
        check_shape(adain, "B P", B=size["B"], P=self.projection.n_adain)
        *slices, last = self.projection.split(adain)
        features = shown.target_map
        for index, block in enumerate(self.down):
            features = _attended(self.down_attention, index, block(features))
        for index, (block, parameters) in enumerate(zip(self.adaptive, slices, strict=True)):
            features = _attended(self.up_attention, index, block(features, parameters))
        return Drawn(torch.tanh(self.last(features, last).float()))


def _attended(attention: nn.ModuleDict, index: int, features: Tensor) -> Tensor:
    return attention[str(index)](features) if str(index) in attention else features


def _attention_on_the_way_up(options: PaperOptions) -> dict[str, nn.Module]:
    """At most one module, keyed by the number of the adaptive block that it follows."""
    stride = options.up_attention_stride
    if stride is None:
        return {}
    widths = options.widths
    strides = [2**level for level in reversed(range(len(widths)))]
    if stride not in strides:
        raise ValueError(f"no block on the way up has a stride of {stride} px, but {strides}")
    level = strides.index(stride)
    return {str(options.n_same + level): SelfAttention(widths[len(widths) - 1 - level])}
