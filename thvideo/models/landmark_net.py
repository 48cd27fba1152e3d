"""The bundled landmark network: a small U-Net that draws one heat map per point.

Shapes: B crops, K points, S heat-map cells along a side.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CROP_PX = 128
CELL_PX = 4
N_POINTS = 70


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected position under the softmax of each map (integral regression, arXiv:1711.08229).

    Args:
        logits: `[B, K, S, S]`.

    Returns:
        `[B, K, 2]` (x, y) in cells, cell centres at whole numbers.
    """
    return read_maps(logits)[0]


def read_maps(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Read places as `soft_argmax` does, and how unsure they are.

    Args:
        logits: `[B, K, S, S]`.

    Returns:
        Places `[B, K, 2]`, and the standard deviations `[B, K]` of the softmax of each map, both in
        cells.
    """
    size = logits.shape[-1]
    weights = logits.float().flatten(2).softmax(dim=-1).view(*logits.shape[:2], size, size)
    steps = torch.arange(size, dtype=torch.float32, device=logits.device)
    columns, rows = weights.sum(dim=2), weights.sum(dim=3)
    places = torch.stack([columns @ steps, rows @ steps], dim=-1)
    squares = torch.stack([columns @ steps**2, rows @ steps**2], dim=-1)
    return places, (squares - places**2).sum(dim=-1).clamp(min=0).sqrt()


def cells_to_px(cells: Tensor) -> Tensor:
    """Heat-map cells to crop pixels, both with centres at whole numbers."""
    return (cells + 0.5) * CELL_PX - 0.5


class ConvNorm(nn.Sequential):
    """3 x 3 (or 1 x 1) convolution and batch norm; folded into one by `fold_norms`."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(n_out),
        )


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a skip: plain ones are the fast ones on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width)
        last = self.second[1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, H, W]` to the same shape."""
        hidden = functional.relu(self.first(features), inplace=True)
        return functional.relu(features + self.second(hidden), inplace=True)


class LandmarkNet(nn.Module):
    """128 x 128 crop to 70 heat maps of 32 x 32 and a face confidence.

    Args:
        widths: channels at strides 4, 8, 16 and 32.
        depths: residual blocks at those strides on the way down.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (48, 96, 128, 160),
        depths: tuple[int, int, int, int] = (1, 2, 2, 1),
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(3 * CELL_PX * CELL_PX, widths[0])
        self.down = nn.ModuleList(
            ConvNorm(fine, coarse, stride=2) for fine, coarse in pairwise(widths)
        )
        self.encode = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.context = nn.Linear(widths[3], widths[3])
        self.lateral = nn.ModuleList(
            ConvNorm(coarse, fine, kernel=1) for fine, coarse in pairwise(widths)
        )
        self.decode = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.maps = nn.Conv2d(widths[0], N_POINTS, 1)
        self.face = nn.Linear(widths[3], 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Heat maps and face logit.

        Args:
            crops: `[B, 3, 128, 128]` RGB in 0..1.

        Returns:
            Heat-map logits `[B, 70, 32, 32]` and face logits `[B]`.
        """
        features = functional.pixel_unshuffle((crops - 0.5) * 4.0, CELL_PX)
        features = functional.relu(self.stem(features), inplace=True)
        skips: list[Tensor] = []
        for level, encode in enumerate(self.encode):
            features = encode(features)
            if level < len(self.down):
                skips.append(features)
                features = functional.relu(self.down[level](features), inplace=True)
        pooled = features.mean(dim=(2, 3))
        features = features + self.context(pooled)[:, :, None, None]
        for level in range(len(skips) - 1, -1, -1):
            raised = functional.interpolate(self.lateral[level](features), scale_factor=2.0)
            features = self.decode[level](functional.relu(raised + skips[level]))
        return self.maps(features), self.face(pooled)[:, 0]


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold every `ConvNorm`'s batch norm into its convolution, in place, for inference.

    Args:
        module: a network in eval mode.

    Returns:
        The same network.
    """
    for child in module.modules():
        if isinstance(child, ConvNorm) and len(child) == 2:
            conv, norm = child[0], child[1]
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            child[0] = nn.utils.fuse_conv_bn_eval(conv, norm)
            del child[1]
    return module
