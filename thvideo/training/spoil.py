"""Spoiling pictures for training: colour, blur, compression, paint and things in the way."""

import cv2
import numpy as np
from numpy.typing import NDArray

from thvideo.shapes import U8Array

Rng = np.random.Generator


def spoil(picture: U8Array, rng: Rng) -> U8Array:
    """A random mix of degradations that keeps every point where it was.

    Args:
        picture: `[H, W, 3]` RGB.
        rng: source of all choices.

    Returns:
        `[H, W, 3]` RGB.
    """
    if rng.random() < 0.15:
        picture = _paint(picture, rng)
    if rng.random() < 0.9:
        picture = _recolour(picture, rng)
    if rng.random() < 0.35:
        picture = _soften(picture, rng)
    if rng.random() < 0.3:
        channels = 1 if rng.random() < 0.5 else 3
        noise = _grain((*picture.shape[:2], channels), rng.uniform(2, 12), rng)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 80))]
        coded = cv2.imencode(".jpg", picture, quality)[1]
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return picture


def occlude(picture: U8Array, rng: Rng) -> U8Array:
    """Put one or two shapes over the picture: flat, noisy, or a piece of the picture itself."""
    height, width = picture.shape[:2]
    covered = picture.copy()
    for _ in range(int(rng.integers(1, 3))):
        mask = np.zeros((height, width), np.uint8)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        reach = rng.uniform(0.06, 0.24) * width
        if rng.random() < 0.5:
            axes = (int(reach), int(reach * rng.uniform(0.3, 1)))
            cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            ring = np.stack([np.cos(angles), np.sin(angles)], 1) * reach * 1.3
            cv2.fillPoly(mask, [(ring + centre).astype(np.int32)], 255)
        if rng.random() < 0.6:
            mask = cv2.GaussianBlur(mask, (0, 0), 1.2)
        kind = rng.random()
        if kind < 0.35:
            skin = np.array([rng.uniform(60, 240), 0, 0])
            skin[1], skin[2] = skin[0] * rng.uniform(0.6, 0.85), skin[0] * rng.uniform(0.4, 0.75)
            cover = np.broadcast_to(skin, picture.shape)
        elif kind < 0.6:
            cover = np.broadcast_to(rng.uniform(0, 255, 3), picture.shape)
        else:
            cover = np.roll(
                picture, (int(rng.integers(20, height)), int(rng.integers(20, width))), (0, 1)
            )
        alpha = mask[..., None].astype(np.float32) / 255
        covered = (covered * (1 - alpha) + cover * alpha).astype(np.uint8)
    return covered


def texture(height: int, width: int, rng: Rng) -> U8Array:
    """A face-free picture: clouds of noise, stripes, gradients or flat colour."""
    kind = rng.random()
    colours = rng.uniform(0, 255, (2, 3))
    if kind < 0.5:
        cells = int(2 ** rng.integers(1, 7))
        field = rng.random((max(2, cells), max(2, cells))).astype(np.float32)
        field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind < 0.75:
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(0.03, 0.6)
        field = 0.5 + 0.5 * np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * pitch)
        if rng.random() < 0.5:
            field = (field > 0.5).astype(np.float32)
    else:
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        field = (rows * rng.normal() + columns * rng.normal()) / max(height, width)
    mixed = colours[0] + (colours[1] - colours[0]) * field[..., None]
    if rng.random() < 0.4:
        mixed = mixed + _grain(mixed.shape, rng.uniform(3, 40), rng)
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _grain(shape: tuple[int, ...], strength: float, rng: Rng) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(strength)


def _recolour(picture: U8Array, rng: Rng) -> U8Array:
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.3))
    contrast, brightness = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.07)
    tint = 1 + rng.normal(0, 0.08, 3) * (rng.random() < 0.5)
    table = ((levels**gamma - 0.5) * contrast + 0.5 + brightness)[:, None] * tint
    lut = np.clip(table * 255, 0, 255).astype(np.uint8)
    picture = cv2.LUT(picture, lut[None])
    choice = rng.random()
    if choice < 0.18:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        sepia = np.array([1.0, 0.9, 0.75]) if rng.random() < 0.4 else np.ones(3)
        picture = (grey * sepia).astype(np.uint8)
    elif choice < 0.4:
        grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = float(rng.uniform(0.2, 1.6))
        picture = cv2.addWeighted(picture, keep, grey, 1 - keep, 0)
    if rng.random() < 0.12:
        height, width = picture.shape[:2]
        ramp = cv2.resize(rng.uniform(0.35, 1.3, (2, 2)).astype(np.float32), (width, height))
        picture = np.clip(picture * ramp[..., None], 0, 255).astype(np.uint8)
    return picture


def _soften(picture: U8Array, rng: Rng) -> U8Array:
    height, width = picture.shape[:2]
    kind = rng.random()
    if kind < 0.5:
        shrink = rng.uniform(1.3, 4.0)
        small = cv2.resize(
            picture, (int(width / shrink), int(height / shrink)), interpolation=cv2.INTER_AREA
        )
        way = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(small, (width, height), interpolation=way), np.uint8)
    if kind < 0.8:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 2.0)), np.uint8)
    length = int(rng.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    half = (length - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * half
    start, end = np.round(half - reach).astype(int), np.round(half + reach).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _paint(picture: U8Array, rng: Rng) -> U8Array:
    kind = rng.random()
    height, width = picture.shape[:2]
    if kind < 0.3:
        picture = cv2.bilateralFilter(picture, 7, 60, 5)
    elif kind < 0.55:
        picture = cv2.medianBlur(picture, int(rng.choice([3, 5])))
    elif kind < 0.75:
        levels = int(rng.integers(5, 14))
        step = 256 // levels
        flat = cv2.GaussianBlur(picture, (0, 0), 0.8) // step * step + step // 2
        picture = flat.astype(np.uint8)
    else:
        edges = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F, ksize=3)
        soft = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
        picture = np.clip(soft - rng.uniform(0.2, 0.8) * np.abs(edges)[..., None], 0, 255).astype(
            np.uint8
        )
    weave = _grain((height, width), rng.uniform(4, 18), rng)
    across, along = rng.uniform(0.4, 1.6, 2)
    weave = cv2.GaussianBlur(weave, (0, 0), sigmaX=across, sigmaY=along)
    return np.asarray(np.clip(picture + weave[..., None] * 1.5, 0, 255), np.uint8)
