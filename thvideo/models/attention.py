"""Self-attention over the cells of a feature map (arXiv:1805.08318, as built in BigGAN)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.spectral import spectral


class SelfAttention(nn.Module):
    """Adds to every cell what it attends to elsewhere; at initialisation it adds nothing.

    Keys and values are max-pooled by 2, as in BigGAN.

    Args:
        n_channels: channels in and out, a multiple of 8.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        n_key, n_value = n_channels // 8, n_channels // 2
        self.query = spectral(nn.Conv2d(n_channels, n_key, 1, bias=False))
        self.key = spectral(nn.Conv2d(n_channels, n_key, 1, bias=False))
        self.value = spectral(nn.Conv2d(n_channels, n_value, 1, bias=False))
        self.out = spectral(nn.Conv2d(n_value, n_channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, H, W]` to the same shape, H and W even."""
        query = self.query(features).flatten(2)  # [B, C / 8, H W]
        key = functional.max_pool2d(self.key(features), 2).flatten(2)  # [B, C / 8, H W / 4]
        value = functional.max_pool2d(self.value(features), 2).flatten(2)  # [B, C / 2, H W / 4]
        weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=-1)  # [B, H W, H W / 4]
        seen = torch.bmm(value, weights.transpose(1, 2).to(value.dtype))
        seen = seen.reshape(*seen.shape[:2], *features.shape[2:])
        return features + self.gamma.to(features.dtype) * self.out(seen)


def attention_after(
    widths: tuple[int, ...], stride: int | None, first_stride: int = 2
) -> dict[str, nn.Module]:
    """Self-attention for a stack of halving blocks.

    Args:
        widths: channels after each block.
        stride: input pixels per cell at which attention stands; None for none.
        first_stride: input pixels per cell after the first block.

    Returns:
        At most one module, keyed by the number of the block that it follows.

    Raises:
        ValueError: no block has that stride.
    """
    if stride is None:
        return {}
    strides = [first_stride * 2**index for index in range(len(widths))]
    if stride not in strides:
        raise ValueError(f"no block has a stride of {stride} px: the strides are {strides}")
    index = strides.index(stride)
    return {str(index): SelfAttention(widths[index])}
