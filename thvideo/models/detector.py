"""The bundled face detector: one centre map and one box map at an eighth of the picture.

Anchor-free, after "Objects as Points" (arXiv:1904.07850), with a box regression by IoU.
Shapes: B pictures, H and W their height and width, multiples of 32.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.landmark_net import ConvNorm, Residual

STRIDE_PX = 8
MULTIPLE_PX = 32
_STEM_PX = 4


class DetectorNet(nn.Module):
    """Picture to centre logits and boxes.

    Args:
        widths: channels at strides 4, 8, 16 and 32.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (24, 40, 64, 80)) -> None:
        super().__init__()
        self.stem = ConvNorm(3 * _STEM_PX * _STEM_PX, widths[0])
        self.stem_block = Residual(widths[0])
        self.down = nn.ModuleList(
            ConvNorm(fine, coarse, stride=2) for fine, coarse in pairwise(widths)
        )
        self.encode = nn.ModuleList(Residual(width) for width in widths[1:])
        self.lateral = nn.ModuleList(
            ConvNorm(coarse, fine, kernel=1) for fine, coarse in pairwise(widths[1:])
        )
        self.decode = nn.ModuleList(Residual(width) for width in widths[1:-1])
        self.head = nn.Conv2d(widths[1], 5, 1)
        assert self.head.bias is not None
        with torch.no_grad():
            # Most cells hold no face: start there (focal loss, arXiv:1708.02002).
            self.head.bias.copy_(torch.tensor([-3.5, 0.0, 0.0, 1.5, 1.5]))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Find face centres.

        Args:
            pictures: `[B, 3, H, W]` RGB in 0..1.

        Returns:
            Centre logits `[B, H/8, W/8]` and boxes `[B, H/8, W/8, 4]`: x0, y0, x1, y1 in
            picture pixels.
        """
        features = functional.pixel_unshuffle((pictures - 0.5) * 4.0, _STEM_PX)
        features = self.stem_block(functional.relu(self.stem(features), inplace=True))
        skips: list[Tensor] = []
        for down, encode in zip(self.down, self.encode, strict=True):
            features = encode(functional.relu(down(features), inplace=True))
            skips.append(features)
        for level in range(len(self.decode) - 1, -1, -1):
            raised = functional.interpolate(self.lateral[level](features), scale_factor=2.0)
            features = self.decode[level](functional.relu(raised + skips[level]))
        out = self.head(features).float()
        return out[:, 0], boxes_from_raw(out[:, 1:])


def boxes_from_raw(raw: Tensor) -> Tensor:
    """Shift (cells, relative to size) and log size (cells) `[B, 4, h, w]` to pixel boxes.

    Returns:
        `[B, h, w, 4]` x0, y0, x1, y1.
    """
    rows = torch.arange(raw.shape[2], dtype=torch.float32, device=raw.device)
    columns = torch.arange(raw.shape[3], dtype=torch.float32, device=raw.device)
    size = torch.exp(raw[:, 2:].clamp(-2.0, 5.0)) * STRIDE_PX
    centre_x = (columns + 0.5) * STRIDE_PX - 0.5 + raw[:, 0] * STRIDE_PX
    centre_y = (rows[:, None] + 0.5) * STRIDE_PX - 0.5 + raw[:, 1] * STRIDE_PX
    half_w, half_h = size[:, 0] / 2, size[:, 1] / 2
    return torch.stack(
        [centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h], dim=-1
    )


def pick_peaks(logits: Tensor, boxes: Tensor, threshold: float) -> list[Tensor]:
    """Local maxima of the centre map above a threshold, with overlapping boxes removed.

    Args:
        logits: `[B, h, w]`.
        boxes: `[B, h, w, 4]`.
        threshold: least score in 0..1.

    Returns:
        Per picture `[N, 5]` boxes and scores, best first.
    """
    scores = logits.sigmoid()
    is_peak = scores == functional.max_pool2d(scores[:, None], 3, 1, 1)[:, 0]
    picked = []
    for score, peak, box in zip(scores, is_peak, boxes, strict=True):
        chosen = peak & (score >= threshold)
        found = torch.cat([box[chosen], score[chosen, None]], dim=-1)
        order = found[:, 4].argsort(descending=True, stable=True)
        picked.append(suppress_overlaps(found[order[:100]]))
    return picked


def suppress_overlaps(found: Tensor, limit: float = 0.35) -> Tensor:
    """Keep a box only where no better one overlaps it by more than `limit` (IoU).

    A box that lies mostly inside a better one, or around it, also goes: a face has no faces.

    Args:
        found: `[N, 5]`, best first.
        limit: largest IoU of two kept boxes.
    """
    kept: list[int] = []
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    for index in range(len(found)):
        low = torch.maximum(found[kept, :2], found[index, :2])
        high = torch.minimum(found[kept, 2:4], found[index, 2:4])
        shared = (high - low).clamp(min=0).prod(-1)
        union = area[kept] + area[index] - shared
        within = shared / torch.minimum(area[kept], area[index])
        if not bool(((shared / union > limit) | (within > 0.7)).any()):
            kept.append(index)
    return found[kept]
