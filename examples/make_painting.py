"""Make painting.jpg: NASA's portrait of Eileen Collins as if painted in oil.

python examples/make_painting.py [painting.jpg]
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Image = NDArray[np.float32]  # [H, W, 3] or [H, W], 0..1

PORTRAIT = (slice(0, 320), slice(100, 356))  # head and shoulders of the whole picture
ENLARGE = 3.75


def brush(image: Image, radius: int) -> Image:
    """Flatten colours into touches of the brush (generalised Kuwahara filter).

    Around every pixel lie eight sectors; those of even colour count most, so that areas become
    flat and edges stay.
    """
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    angle, distance = np.arctan2(rows, columns), np.hypot(rows, columns)
    total, weights = np.zeros_like(image), np.zeros((*image.shape[:2], 1), np.float32)
    for sector in range(8):
        off = np.angle(np.exp(1j * (angle - sector * np.pi / 4)))
        kernel = np.exp(-((off / 0.45) ** 2) - (distance / radius) ** 2 * 1.5)
        kernel = (kernel * (distance <= radius) / (kernel * (distance <= radius)).sum()).astype(
            "f4"
        )
        mean = cv2.filter2D(image, -1, kernel)
        spread = cv2.filter2D(image**2, -1, kernel) - mean**2
        weight = 1 / (1 + (255 * np.sqrt(np.maximum(spread, 0)).sum(axis=2, keepdims=True)) ** 4)
        total, weights = total + weight * mean, weights + weight
    return total / weights


def stroke_relief(image: Image, length: int, rng: np.random.Generator) -> Image:
    """Draw bristle marks along the forms: noise smeared along the lines of even brightness."""
    grey = cv2.GaussianBlur(image.mean(axis=2), (0, 0), 2)
    dx, dy = cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(a, (0, 0), 8) for a in (dx * dx, dy * dy, dx * dy))
    along = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    step_x, step_y = np.cos(along).astype("f4"), np.sin(along).astype("f4")
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    noise = cv2.GaussianBlur(rng.normal(size=grey.shape).astype("f4"), (0, 0), 1.1)
    smeared = np.zeros_like(noise)
    for t in range(-length, length + 1):
        smeared += cv2.remap(noise, columns + t * step_x, rows + t * step_y, cv2.INTER_LINEAR)
    smeared /= smeared.std()
    # Light from the upper left shows the paint's thickness.
    return cv2.Sobel(smeared, -1, 1, 0) + cv2.Sobel(smeared, -1, 0, 1)


def canvas(height: int, width: int, rng: np.random.Generator) -> Image:
    """Weave threads over and under, a little uneven."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    wobble = cv2.GaussianBlur(rng.normal(size=(height, width)).astype("f4"), (0, 0), 12) * 12
    over = np.sin(2 * np.pi * (columns + wobble) / 5) * np.sin(2 * np.pi * (rows + wobble) / 5)
    return over.astype(np.float32)


def varnish(image: Image) -> Image:
    """Deepen colours, turn them warm, and darken the corners."""
    grey = image.mean(axis=2, keepdims=True)
    warm = np.maximum(grey + 1.15 * (image - grey), 0) ** 1.08 * np.array(
        [1.03, 0.98, 0.84], np.float32
    )
    height, width = image.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return warm * (1 - 0.28 * ((rows**2 + columns**2) / 2) ** 1.5)[..., None]


def main(path: Path) -> None:
    """Paint and save."""
    rng = np.random.default_rng(7)
    photo = data.astronaut()[PORTRAIT].astype(np.float32) / 255
    large = cv2.resize(photo, None, fx=ENLARGE, fy=ENLARGE, interpolation=cv2.INTER_LANCZOS4)
    broad, fine = brush(large, 13), brush(large, 6)
    # Finer touches where there is something to say: the face.
    rows, columns = np.mgrid[: large.shape[0], : large.shape[1]]
    face = np.exp(-((((columns - 465) / 190) ** 2 + ((rows - 440) / 230) ** 2) ** 2))[..., None]
    paint = varnish(broad + face.astype("f4") * (fine - broad))
    relief = stroke_relief(paint, 14, rng) * (1 - 0.6 * face[..., 0])
    paint *= (1 + 0.017 * relief + 0.02 * canvas(*paint.shape[:2], rng))[..., None].astype("f4")
    pixels = (np.clip(paint, 0, 1) * 255).round().astype(np.uint8)
    cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("painting.jpg"))
