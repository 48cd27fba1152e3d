"""The residual blocks that every network is built of (after BigGAN, arXiv:1809.11096).

A block is: norm, ReLU, convolution, norm, ReLU, convolution, beside a 1x1 convolution where the
number of channels or the size changes. Every convolution has spectral norm; one that stands
between norms has no bias.

Shapes: B pictures, C channels, H and W height and width in cells.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.spectral import spectral

Norm = Literal["none", "instance"]

#: Channels of a picture and its landmark image together: what E and D look at.
N_INPUTS = 6

_EPS = 1e-5


def adaptive_norm(features: Tensor, parameters: Tensor) -> Tensor:
    """Adaptive instance norm (AdaIN, arXiv:1703.06868).

    Every channel of every sample is brought to mean 0 and standard deviation 1, then scaled and
    shifted.

    Args:
        features: `[B, C, H, W]`.
        parameters: `[B, 2C]`: the C scales, then the C shifts.

    Returns:
        `[B, C, H, W]`.
    """
    n_samples, n_channels = features.shape[:2]
    scales, shifts = parameters.float().chunk(2, dim=1)
    # Samples laid out as channels: one batch norm computes mean, scale and shift of each at once.
    rows = features.reshape(1, n_samples * n_channels, *features.shape[2:])
    normed = functional.batch_norm(
        rows, None, None, scales.reshape(-1), shifts.reshape(-1), training=True, eps=_EPS
    )
    return normed.reshape(features.shape)


class ResidualBlock(nn.Module):
    """A block that keeps or halves the size.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        norm: what stands before each ReLU.
        down: halve the size by averaging.
        first: the input is a picture: no norm and no ReLU before the first convolution.
    """

    def __init__(
        self, n_in: int, n_out: int, *, norm: Norm = "none", down: bool = False, first: bool = False
    ) -> None:
        super().__init__()
        self.down, self.first = down, first
        bias = norm == "none"
        self.norm_in = nn.Identity() if first else _norm(norm, n_in)
        self.conv_in = spectral(nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias))
        self.norm_out = _norm(norm, n_out)
        self.conv_out = spectral(nn.Conv2d(n_out, n_out, 3, padding=1, bias=bias))
        self.skip = _skip(n_in, n_out, changes=down, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, n_in, H, W]` to `[B, n_out, H, W]`, or to half of H and W."""
        hidden = features if self.first else functional.relu(self.norm_in(features))
        hidden = functional.relu(self.norm_out(self.conv_in(hidden)))
        hidden = self.conv_out(hidden)
        if not self.down:
            return hidden + self.skip(features)
        # Averaging before the 1x1 convolution gives what it gives after, for a quarter of the work.
        return functional.avg_pool2d(hidden, 2) + self.skip(functional.avg_pool2d(features, 2))


class AdaptiveBlock(nn.Module):
    """A block with AdaIN that keeps or doubles the size.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        up: double the size, nearest neighbour, before the first convolution.

    Attributes:
        n_adain: how many AdaIN parameters `forward` takes for each sample.
    """

    def __init__(self, n_in: int, n_out: int, *, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self._sizes = [2 * n_in, 2 * n_out]
        self.n_adain = sum(self._sizes)
        self.conv_in = spectral(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))
        self.conv_out = spectral(nn.Conv2d(n_out, n_out, 3, padding=1, bias=False))
        self.skip = _skip(n_in, n_out, changes=up, bias=False)

    def forward(self, features: Tensor, adain: Tensor) -> Tensor:
        """Run the block.

        Args:
            features: `[B, n_in, H, W]`.
            adain: `[B, n_adain]`, this block's slice of the parameters (`split_adain`).

        Returns:
            `[B, n_out, H, W]`, or twice H and W.
        """
        first, second = torch.split(adain, self._sizes, dim=1)
        hidden = functional.relu(adaptive_norm(features, first))
        hidden = self.conv_in(_doubled(hidden) if self.up else hidden)
        hidden = self.conv_out(functional.relu(adaptive_norm(hidden, second)))
        beside = self.skip(features)
        return hidden + (_doubled(beside) if self.up else beside)


class AdaptiveOutput(nn.Module):
    """The end of a generator: AdaIN, ReLU, 3x3 convolution.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.

    Attributes:
        n_adain: how many AdaIN parameters `forward` takes for each sample.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.n_adain = 2 * n_in
        self.conv = spectral(nn.Conv2d(n_in, n_out, 3, padding=1))

    def forward(self, features: Tensor, adain: Tensor) -> Tensor:
        """`[B, n_in, H, W]` and `[B, n_adain]` to `[B, n_out, H, W]`, of any range."""
        out: Tensor = self.conv(functional.relu(adaptive_norm(features, adain)))
        return out


class AdaptiveProjection(nn.Module):
    """P of the paper: one linear map from the embedding to all AdaIN parameters of a generator.

    Its bias starts at 1 for scales and 0 for shifts, so that training starts at plain instance
    norm.

    Args:
        n_embedding: size of the embedding.
        parts: the generator's adaptive parts, in the order in which they run.
    """

    def __init__(self, n_embedding: int, parts: list["AdaptiveBlock | AdaptiveOutput"]) -> None:
        super().__init__()
        self._sizes = [part.n_adain for part in parts]
        self.linear = spectral(nn.Linear(n_embedding, sum(self._sizes)))
        with torch.no_grad():
            self.linear.bias.copy_(torch.cat([_neutral(part) for part in parts]))

    @property
    def n_adain(self) -> int:
        """How many AdaIN parameters the generator takes for each sample."""
        return sum(self._sizes)

    def forward(self, embedding: Tensor) -> Tensor:
        """`[B, n_embedding]` to `[B, n_adain]`."""
        out: Tensor = self.linear(embedding)
        return out

    def split(self, adain: Tensor) -> tuple[Tensor, ...]:
        """Cut `[B, n_adain]` into each part's own parameters, in order."""
        return torch.split(adain, self._sizes, dim=1)


def sum_pool(features: Tensor) -> Tensor:
    """ReLU, then the sum over all cells: `[B, C, H, W]` to `[B, C]`, in float32."""
    return functional.relu(features).sum(dim=(2, 3), dtype=torch.float32)


def _neutral(part: AdaptiveBlock | AdaptiveOutput) -> Tensor:
    sizes = part._sizes if isinstance(part, AdaptiveBlock) else [part.n_adain]
    return torch.cat([torch.arange(size).lt(size // 2).float() for size in sizes])


def _norm(norm: Norm, n_channels: int) -> nn.Module:
    if norm == "none":
        return nn.Identity()
    return nn.InstanceNorm2d(n_channels, eps=_EPS, affine=True)


def _skip(n_in: int, n_out: int, *, changes: bool, bias: bool) -> nn.Module:
    if n_in == n_out and not changes:
        return nn.Identity()
    return spectral(nn.Conv2d(n_in, n_out, 1, bias=bias))


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0)
