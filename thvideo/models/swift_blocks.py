"""What the swift networks are made of.

Shapes: B frames, C channels, H and W height and width in cells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: An instance's standard deviation is at least this: a flat map must not blow up.
_LEAST_DEVIATION = 1e-3

#: Of the leaky ReLU below 0: with none, the last layers' first steps silenced whole levels.
SLOPE = 0.2


def convolution(n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the side, or divides it by the stride."""
    return nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2)


def active(features: Tensor) -> Tensor:
    """Leaky ReLU."""
    return functional.leaky_relu(features, SLOPE)


def modulate(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive instance normalisation (arXiv:1703.06868) around a scale of 1.

    Args:
        features: ``[B, C, H, W]``.
        scale: ``[B, C]``, what is added to 1.
        shift: ``[B, C]``.
    """
    # Sums in single precision whatever the features' own: bf16 loses means of large maps. Two
    # plain means: torch's variance takes nine times as long where channels lie last.
    wide = features.float()
    centred = wide - wide.mean(dim=(2, 3), keepdim=True)
    deviation = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
    gain = (1 + scale.float())[:, :, None, None] / (deviation + _LEAST_DEVIATION)
    return torch.addcmul(shift.float()[:, :, None, None], centred, gain).to(features.dtype)


class AdaINBlock(nn.Module):
    """AdaIN, leaky ReLU, convolution, twice, around a skip; AdaIN parameters come from outside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    @property
    def n_adain(self) -> int:
        """AdaIN parameters that the block takes: two scales and two shifts a channel."""
        return 4 * self.width

    def forward(self, features: Tensor, adain: Tensor) -> Tensor:
        """``[B, C, H, W]`` and ``[B, 4 C]`` to ``[B, C, H, W]``."""
        scale_1, shift_1, scale_2, shift_2 = adain.chunk(4, dim=1)
        hidden = self.first(active(modulate(features, scale_1, shift_1)))
        hidden = self.second(active(modulate(hidden, scale_2, shift_2)))
        return features + hidden


class PlainBlock(nn.Module):
    """Two convolutions around a skip, without norms: the detail levels keep their contrast."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same shape."""
        hidden = active(self.first(active(features)))
        return features + self.second(hidden)


def lit(maps: Tensor) -> Tensor:
    """Bring landmark images from -1..1 to 0..1: their black ground says nothing."""
    return 0.5 * maps + 0.5
