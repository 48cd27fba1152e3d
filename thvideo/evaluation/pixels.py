"""Figures of pixels, frame by frame: how near drawn pictures are to the true ones.

Pictures here are ``[T, S, S, 3]`` RGB in 0..255; differences are of the range -1..1 that networks
draw in. Pixels outside the mask take no part in anything.
"""

import numpy as np
import torch
from torch import Tensor

from thvideo.imaging.blend import feather_mask
from thvideo.imaging.colour import rim_offset
from thvideo.imaging.crop import Box
from thvideo.models.perceptual import PerceptualNet, content_loss, lpips_distance
from thvideo.shapes import BoolArray, F32Array, U8Array, check_shape
from thvideo.training.metrics import psnr, ssim

#: Frames that are compared at once.
_BATCH = 8


def pixel_figures(
    frames: U8Array, truth: U8Array, mask: BoolArray, regions: U8Array
) -> dict[str, F32Array]:
    """Compare pictures pixel by pixel.

    Args:
        frames: ``[T, S, S, 3]`` drawn.
        truth: The same shape.
        mask: ``[S, S]`` pixels that count.
        regions: ``[T, S, S]`` mouth and eyes, 255 inside.

    Returns:
        ``ssim``, ``psnr`` (dB; infinite for equal pictures), ``l1`` and ``region_l1`` (mean
        absolute differences, of a range of 2), each ``[T]``; NaN where nothing counts.
    """
    sizes = check_shape(frames, "T S S 3")
    check_shape(truth, "T S S 3", **sizes)
    check_shape(regions, "T S S", **sizes)
    counts = torch.from_numpy(mask)[None, None].float()
    found: dict[str, list[Tensor]] = {"ssim": [], "psnr": [], "l1": [], "region_l1": []}
    for start in range(0, sizes["T"], _BATCH):
        part = slice(start, start + _BATCH)
        a, b = _signed(frames[part]), _signed(truth[part])
        weight = counts.expand(len(a), -1, -1, -1)
        region = torch.from_numpy(regions[part])[:, None].float() / 255 * weight
        difference = (a - b).abs().mean(dim=1, keepdim=True)
        found["ssim"].append(ssim(a, b, 2.0, weight))
        found["psnr"].append(psnr(a, b, 2.0, weight))
        found["l1"].append(_mean(difference, weight))
        found["region_l1"].append(_mean(difference, region))
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


def perceptual_distances(
    net: PerceptualNet, frames: U8Array, truth: U8Array, mask: BoolArray, device: torch.device
) -> F32Array:
    """Measure how different pictures look to a network, ``[T]``.

    LPIPS where the preset has its linear layers, else the sum of the mean differences of
    activations. What the mask leaves out is taken from the true picture, where it adds nothing,
    and means are over the rest.

    Args:
        net: A perceptual network, on the device.
        frames: ``[T, S, S, 3]`` drawn.
        truth: The same shape.
        mask: ``[S, S]`` pixels that count.
        device: Where the network is.
    """
    counts = torch.from_numpy(mask)[None, None].float().to(device)
    distances = np.zeros(len(frames), np.float32)
    # A true frame is nothing away from itself, and a network would take its time to say so.
    others = np.flatnonzero((frames != truth).any(axis=(1, 2, 3)))
    # LPIPS is per picture; the other distance is a mean over the batch, so that one goes alone.
    size = _BATCH if net.preset.has_linear and device.type != "cpu" else 1
    with torch.inference_mode():
        for start in range(0, len(others), size):
            part = others[start : start + size]
            a, b = (_signed(pictures[part]).to(device) for pictures in (frames, truth))
            if net.preset.has_linear:
                share = counts.mean().clamp(min=torch.finfo(torch.float32).eps)
                found = lpips_distance(net, torch.lerp(b, a, counts), b) / share
            else:
                found = content_loss(net, a, b, counts)[None]
            distances[part] = found.cpu().numpy()
    return distances


def seam_contrast(frames: U8Array, source: U8Array, valid: F32Array) -> F32Array:
    """Measure what a paste would have to hide: how unlike the drawn and the resting rim are.

    A crop's surroundings in the picture go on as the resting source crop does. Composite
    cross-fades the two along the crop's border, after taking a colour cast away; this is the mean
    difference that is left there, weighted as the fade is steep.

    Args:
        frames: ``[T, S, S, 3]`` drawn.
        source: ``[S, S, 3]`` the first source crop.
        valid: ``[4]`` x0, y0, x1, y1: the part of the crop inside its picture.

    Returns:
        ``[T]`` in steps of 1/255; NaN where the picture ends at every side of the crop.
    """
    fade = feather_mask(source.shape[0], Box(*(int(edge) for edge in valid)))
    weight = 4 * fade * (1 - fade)
    if not weight.any():
        return np.full(len(frames), np.nan, np.float32)
    casts = rim_offset(frames, source, weight)
    rows, columns = np.nonzero(weight)
    own = weight[rows, columns] / weight.sum()
    resting = source[rows, columns].astype(np.float32)
    left = [
        (np.abs(frame[rows, columns] - cast - resting).mean(axis=1) * own).sum()
        for frame, cast in zip(frames, casts, strict=True)
    ]
    return np.asarray(left, np.float32)


def _signed(pictures: U8Array) -> Tensor:
    # Channels last in memory already: the convolutions want it so.
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
