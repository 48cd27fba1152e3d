"""The foveal networks: mouth and eyes, drawn in patches of their own at twice the detail.

Not in arXiv:1905.08233. The whole picture's networks see a mouth of 25 pixels; these see it at the
size of the data. What they draw is added to the generator's own, and fades out towards a patch's
edge.

Shapes: P patches of h by w pixels, both divisible by 8, C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.fused import RaisingConvolution, folded_in
from thvideo.models.shown import DrawnPatches, Patch, Patches
from thvideo.models.swift_blocks import AdaINBlock, PlainBlock, active, convolution, lit

#: Over this share of a patch's height and width what is added fades out.
_FADE = 0.15

#: AdaIN blocks at an eighth.
_N_BLOCKS = 2


class FovealNet(nn.Module):
    """A U-Net from what is shown of a patch to what is added to it; it starts by adding nothing.

    Args:
        widths: Channels at 1/2, 1/4 and 1/8 of the patch's side.
    """

    #: Of a ``Patch``: four pictures.
    CHANNELS = 12

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.stem = convolution(self.CHANNELS * 4, half)
        self.encode_half = PlainBlock(half)
        self.down_1 = convolution(half, quarter, stride=2)
        self.encode_quarter = PlainBlock(quarter)
        self.down_2 = convolution(quarter, eighth, stride=2)
        self.core = nn.ModuleList(AdaINBlock(eighth) for _ in range(_N_BLOCKS))
        self.up_1 = RaisingConvolution(eighth, quarter)
        self.decode_quarter = PlainBlock(quarter)
        self.up_2 = RaisingConvolution(quarter, half)
        self.decode_half = PlainBlock(half)
        self.last = convolution(half, 3 * 4)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        self.n_adain = _N_BLOCKS * 4 * eighth

    def forward(self, patch: Patch, adain: Tensor) -> Tensor:
        """Draw patches.

        Args:
            patch: What is shown of ``P`` patches.
            adain: ``[P, n_adain]``.

        Returns:
            ``[P, 3, h, w]``.
        """
        base, shapes, own, own_shapes = patch
        seen = torch.cat([base, lit(shapes), own, lit(own_shapes)], dim=1)
        half = self.encode_half(folded_in(seen, self.stem, 2))
        quarter = self.encode_quarter(self.down_1(active(half)))
        eighth = self.down_2(active(quarter))
        for block, part in zip(self.core, adain.chunk(_N_BLOCKS, dim=1), strict=True):
            eighth = block(eighth, part)
        quarter = self.decode_quarter(quarter + self.up_1(active(eighth)))
        half = self.decode_half(half + self.up_2(active(quarter)))
        added = functional.pixel_shuffle(self.last(active(half)), 2).float()
        return base.float() + window(added.shape[2], added.shape[3], added.device) * added


class Fovea(nn.Module):
    """One network for mouths and one for eyes.

    Args:
        embedding: Values of the identity embedding.
        widths: Channels of each at 1/2, 1/4 and 1/8 of a patch's side.
    """

    def __init__(self, embedding: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.mouth, self.eyes = FovealNet(widths), FovealNet(widths)
        #: From the embedding to the AdaIN parameters of both.
        self.projection = nn.Linear(embedding, self.mouth.n_adain + self.eyes.n_adain)

    def forward(self, patches: Patches, adain: Tensor) -> DrawnPatches:
        """Draw mouths and eyes of ``B`` frames; ``adain`` is ``[B, n_adain]`` of both networks."""
        of_mouth, of_eyes = adain.chunk(2, dim=1)
        return DrawnPatches(
            self.mouth(patches.mouth, of_mouth),
            self.eyes(patches.eyes, of_eyes.repeat_interleave(2, dim=0)),
        )


def window(height: int, width: int, device: torch.device) -> Tensor:
    """Return how much is added where, ``[height, width]``: 1 amid a patch, 0 at its edge."""
    sides = []
    for length in (height, width):
        line = (torch.arange(length, device=device) + 0.5) / length
        inward = (torch.minimum(line, 1 - line) / _FADE).clamp(0, 1)
        sides.append(inward * inward * (3 - 2 * inward))
    return sides[0][:, None] * sides[1]
