"""From the networks' small pictures to the crop's size: bytes against plain arithmetic in torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from thvideo.imaging.warp import pixel_grid
from thvideo.models.shown import Drawn
from thvideo.shapes import U8Array
from thvideo.synthesis.full_size import in_full, resized

SIDE_PX, N_FRAMES = 32, 3


def made(size_px: int, strength: float) -> tuple[U8Array, Drawn]:
    """Noisy drafts, a flow of a few pixels, and a correction that is strong in places."""
    random = torch.Generator().manual_seed(5)
    drafts = torch.randint(0, 256, (N_FRAMES, size_px, size_px, 3), generator=random)
    warped = torch.rand(N_FRAMES, 3, SIDE_PX, SIDE_PX, generator=random) * 2 - 1
    smooth = torch.randn(N_FRAMES, 3, 5, 5, generator=random)
    smooth = functional.interpolate(smooth, (SIDE_PX, SIDE_PX), mode="bicubic")
    moved = 0.04 * torch.randn(N_FRAMES, 9, 9, 2, generator=random)
    flow = pixel_grid(9, SIDE_PX, moved) * (2 / (SIDE_PX - 1)) - 1 + moved
    stays = torch.rand(N_FRAMES, 1, 7, 7, generator=random) * 1.6 - 0.3
    drawn = Drawn(warped + strength * smooth, warped, flow, stays.clamp(0, 1))
    return drafts.numpy().astype(np.uint8), drawn


#: Blue is shown twice as bright as it is.
CAST = np.float32([0.8, 1.0, 2.0])


def still_of(size_px: int) -> U8Array:
    return np.random.default_rng(8).integers(0, 256, (size_px, size_px, 3), np.uint8)


def exact(drafts: U8Array, drawn: Drawn) -> torch.Tensor:
    assert drawn.warped is not None and drawn.flow is not None and drawn.stays is not None
    size_px = drafts.shape[1]
    full = torch.from_numpy(drafts).permute(0, 3, 1, 2) / 127.5 - 1
    still = torch.from_numpy(still_of(size_px)).permute(2, 0, 1) / 127.5 - 1
    full = full.lerp(still, functional.interpolate(drawn.stays, size_px, mode="bilinear"))
    correction = (drawn.image - drawn.warped) / torch.from_numpy(CAST)[:, None, None]
    if size_px <= SIDE_PX:
        raised, gone, coarse = functional.interpolate(correction, size_px, mode="area"), 0.0, full
    else:
        strength = functional.avg_pool2d(correction.abs().mean(dim=1, keepdim=True), 5, 1, 2)
        gone = ((strength - 0.06) / (0.30 - 0.06)).clamp(0, 1)
        coarse = functional.interpolate(full, (SIDE_PX, SIDE_PX), mode="area")
        coarse, raised, gone = (
            functional.interpolate(each, size_px, mode="bilinear")
            for each in (coarse, correction, gone)
        )
    frames = full + raised + gone * (coarse - full)
    return ((frames + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1)


@pytest.mark.parametrize("size_px", [16, SIDE_PX, 96])
@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_bytes_are_within_two_of_exact_arithmetic(size_px: int, strength: float) -> None:
    drafts, drawn = made(size_px, strength)
    difference = in_full(drafts, still_of(size_px), drawn, CAST) - exact(drafts, drawn).numpy()
    assert np.abs(difference).max() < 2
    assert np.abs(difference.mean()) < 0.1


def test_what_stays_is_the_source_crop_to_the_bit() -> None:
    drafts, drawn = made(96, 0.3)
    stays = torch.zeros(N_FRAMES, 1, 8, 8)
    stays[..., 4:] = 1
    image = torch.where(torch.arange(SIDE_PX) < SIDE_PX // 2, drawn.image, drawn.warped)
    frames = in_full(drafts, still_of(96), drawn._replace(image=image, stays=stays), CAST)
    assert (frames[:, :, 60:] == still_of(96)[:, 60:]).all()
    assert (frames[:, :, :36] != still_of(96)[:, :36]).any()


def test_a_smaller_picture_is_an_average() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    means = picture.reshape(3, 4, 3, 4, 3).mean(axis=(1, 3))
    assert np.abs(resized(picture, 3) - means).max() <= 0.5
    assert resized(picture, 12) is picture
