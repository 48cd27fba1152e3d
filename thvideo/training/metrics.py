"""How near drawn pictures are to true ones: SSIM and PSNR.

Shapes: B pictures, C channels, H and W height and width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from thvideo.shapes import check_shape

# The window and the constants of Wang et al., "Image quality assessment" (2004).
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_K1, _K2 = 0.01, 0.03


def ssim(a: Tensor, b: Tensor, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Structural similarity of pictures, as scikit-image computes it with Gaussian windows.

    Args:
        a: `[B, C, H, W]`, at least 11 pixels along each side.
        b: the same shape.
        data_range: white minus black: 2 for pictures in -1..1.
        mask: `[B, 1, H, W]`, above 0 where a pixel counts. Only windows that lie wholly on
            pixels that count are seen.

    Returns:
        `[B]`, 1 for equal pictures; NaN where no window is seen.

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(a, "B C H W")
    check_shape(b, "B C H W", **sizes)
    x, y = a.float(), b.float()
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        _blurred(moment) for moment in (x, y, x * x, y * y, x * y)
    )
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    spread = mean_xx + mean_yy - squares
    alike = (2 * product + c1) * (2 * (mean_xy - product) + c2)
    per_window = (alike / ((squares + c1) * (spread + c2))).mean(dim=1, keepdim=True)
    if mask is None:
        return per_window.mean(dim=(1, 2, 3))
    check_shape(mask, "B 1 H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
    whole = -functional.max_pool2d(-(mask > 0).float(), _WINDOW_PX, stride=1)
    return _mean_where(per_window, whole)


def psnr(a: Tensor, b: Tensor, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of pictures.

    Args:
        a: `[B, C, H, W]`.
        b: the same shape.
        data_range: white minus black: 2 for pictures in -1..1.
        mask: `[B, 1, H, W]`, above 0 where a pixel counts.

    Returns:
        `[B]` in dB; infinite for equal pictures, NaN where no pixel counts.

    Raises:
        ValueError: the shapes do not fit.
    """
    sizes = check_shape(a, "B C H W")
    check_shape(b, "B C H W", **sizes)
    squared = (a.float() - b.float()).square().mean(dim=1, keepdim=True)
    if mask is None:
        error = squared.mean(dim=(1, 2, 3))
    else:
        check_shape(mask, "B 1 H W", B=sizes["B"], H=sizes["H"], W=sizes["W"])
        error = _mean_where(squared, (mask > 0).float())
    return 10 * torch.log10(data_range**2 / error)


def _blurred(pictures: Tensor) -> Tensor:
    """Gaussian means of `[B, C, H, W]` over all windows that fit in: 10 cells less a side."""
    n_channels = pictures.shape[1]
    offsets = torch.arange(_WINDOW_PX, device=pictures.device) - (_WINDOW_PX - 1) / 2
    window = torch.exp(-0.5 * (offsets / _SIGMA_PX).square())
    window = (window / window.sum()).expand(n_channels, 1, 1, -1)
    # Differences of squares: bfloat16 would lose them.
    with torch.autocast(pictures.device.type, enabled=False):
        across = functional.conv2d(pictures, window, groups=n_channels)
        return functional.conv2d(across, window.transpose(2, 3), groups=n_channels)


def _mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `[B, 1, H, W]` in each sample where the weight is 1; NaN where it nowhere is."""
    return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
