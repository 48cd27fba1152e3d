"""Fetching pixels with OpenCV against torch's sampler."""

import numpy as np
import torch

from thvideo.imaging.lookup import (
    four_channels,
    look_up,
    sample,
    three_channels,
    twice_as_fine,
)
from thvideo.imaging.warp import fetch
from thvideo.shapes import U8Array

SIDE_PX = 48


def noise() -> U8Array:
    return np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)


def places(n_frames: int) -> torch.Tensor:
    """Some of them lie beyond the picture ``[B, 2, H, W]``."""
    generator = torch.Generator().manual_seed(2)
    return torch.rand(n_frames, 2, 20, 30, generator=generator) * (SIDE_PX + 8) - 4


def by_torch(picture: U8Array, at: torch.Tensor) -> torch.Tensor:
    image = torch.from_numpy(picture).float().permute(2, 0, 1)[None]
    return fetch(image, at.permute(0, 2, 3, 1) * (2 / (SIDE_PX - 1)) - 1)


def test_bytes_are_those_of_torch_rounded() -> None:
    at = places(1)
    found = three_channels(look_up(four_channels(noise()), *at[0].numpy()))
    exact = by_torch(noise(), at)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - exact).max() < 0.51


def test_samples_are_those_of_torch_from_one_image_for_all_frames_or_one_each() -> None:
    at = places(3)
    images = four_channels(noise())[None].astype(np.float32)
    exact = by_torch(noise(), at)
    torch.testing.assert_close(sample(images, at[:, 0], at[:, 1]), exact, atol=1e-2, rtol=0)
    turned = np.concatenate([images, images[:, ::-1], images])
    found = sample(turned, at[:, 0], at[:, 1])
    torch.testing.assert_close(found[[0, 2]], exact[[0, 2]], atol=1e-2, rtol=0)
    upside_down = torch.stack([at[:, 0], SIDE_PX - 1 - at[:, 1]], dim=1)
    torch.testing.assert_close(found[1], by_torch(noise(), upside_down)[1], atol=1e-2, rtol=0)


def test_places_lie_at_pixel_centres() -> None:
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1).repeat(4, axis=3)
    x, y = torch.tensor([[[2.0, 0.5]]]), torch.tensor([[[1.0, 0.0]]])
    assert sample(image, x, y)[0, 0].tolist() == [[6.0, 0.5]]


def test_every_second_pixel_is_the_pictures_own_and_those_between_are_cubic() -> None:
    picture = four_channels(noise())
    fine = twice_as_fine(picture)
    assert fine.shape == (2 * SIDE_PX - 1, 2 * SIDE_PX - 1, 4)
    assert np.array_equal(fine[::2, ::2], picture)
    inner = picture.astype(float)
    across = (9 * (inner[:, 1:-2] + inner[:, 2:-1]) - inner[:, :-3] - inner[:, 3:]) / 16
    assert np.abs(fine[::2, 3:-3:2] - across.clip(0, 255)).max() <= 0.5
    down = np.swapaxes(twice_as_fine(np.ascontiguousarray(np.swapaxes(picture, 0, 1))), 0, 1)
    # Both ways are the same but for rounding, and what rounding beyond black and white cuts off.
    assert np.median(np.abs(fine.astype(int) - down)) <= 1
    assert np.array_equal(fine[1::2, ::2], down[1::2, ::2])


def test_a_moved_picture_keeps_more_of_its_fine_detail() -> None:
    """Stripes of five pixels, fetched a quarter and half a pixel beside theirs."""
    wave = 128 + 100 * np.sin(2 * np.pi * np.arange(SIDE_PX) / 5)
    picture = four_channels(np.tile(wave[:, None], (SIDE_PX, 1, 3)).round().astype(np.uint8))
    fine = twice_as_fine(picture)
    for beside, least in ((0.25, 0.95), (0.5, 0.95), (0.1, 0.97)):
        x, y = np.meshgrid(np.arange(8, 40) + beside, np.arange(8, 40))
        x, y = x.astype(np.float32), y.astype(np.float32)
        kept = look_up(fine, 2 * x, 2 * y).std() / picture.std()
        assert kept > least
        assert kept > look_up(picture, x, y).std() / picture.std()
