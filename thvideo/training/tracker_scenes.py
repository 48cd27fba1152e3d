"""Pictures composed from labelled faces and backgrounds, for training the face detector."""

from dataclasses import dataclass

import cv2
import numpy as np

from thvideo.landmarks.face_crop import apply_affine
from thvideo.landmarks.schema import FLIP
from thvideo.shapes import F32Array, U8Array
from thvideo.training.spoil import spoil, texture
from thvideo.training.tracker_data import Face, FaceSampler

CANVAS_PX = 256
SMALLEST_PX, LARGEST_PX = 15.0, 250.0
EMPTY_SHARE = 0.25
MAX_FACES = 5


@dataclass(frozen=True)
class Scene:
    """A composed picture `[H, W, 3]` and the boxes `[N, 4]` of its faces."""

    picture: U8Array
    boxes: F32Array


def points_box(points: F32Array) -> F32Array:
    """Tight box x0, y0, x1, y1 of the 68 points, `[4]`."""
    return np.concatenate([points[:68].min(0), points[:68].max(0)]).astype(np.float32)


def place_face(
    face: Face, side_px: float, centre: F32Array, rng: np.random.Generator
) -> tuple[F32Array, F32Array]:
    """Turn, mirror, scale and move a face.

    Returns:
        The `[2, 3]` map from its picture to the canvas and its points there.
    """
    angle = float(rng.uniform(-45, 45) if rng.random() < 0.3 else rng.normal(0, 10))
    middle = face.points[:68].mean(0)
    matrix = np.vstack([cv2.getRotationMatrix2D(middle.tolist(), angle, 1.0), [0, 0, 1]])
    points = face.points
    if rng.random() < 0.5:
        matrix = np.diag([-1.0, 1.0, 1.0]) @ matrix
        points = points[FLIP]
    box = points_box(apply_affine(matrix[:2].astype(np.float32), points))
    scale = side_px / float((box[2:] - box[:2]).max())
    shift = centre - (box[:2] + box[2:]) / 2 * scale
    scaled = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ matrix
    final = scaled[:2].astype(np.float32)
    return final, apply_affine(final, points)


def warp_onto(
    canvas: U8Array, face: Face, matrix: F32Array, mask: F32Array | None, border: int
) -> U8Array:
    """Warp a face's picture onto the canvas; `mask` `[H, W]` in its own picture, or all of it."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    size = (canvas.shape[1], canvas.shape[0])
    picture, full = face.picture, matrix.astype(np.float64)
    if scale < 0.5:
        # Anti-aliasing: shrink by areas first, the warp does the rest.
        factor = int(1 / scale)
        height, width = picture.shape[0] // factor, picture.shape[1] // factor
        source = picture[: height * factor, : width * factor]
        picture = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        offset = (factor - 1) / 2
        full = np.concatenate(
            [full[:, :2] * factor, full[:, :2] @ np.full((2, 1), offset) + full[:, 2:]], axis=1
        )
    warped = cv2.warpAffine(picture, full, size, flags=cv2.INTER_LINEAR, borderMode=border)
    if mask is None and border != cv2.BORDER_CONSTANT:
        return np.asarray(warped, np.uint8)
    if mask is None:
        mask = np.ones(face.picture.shape[:2], np.float32)
    alpha = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.asarray(canvas * (1 - alpha) + warped * alpha, np.uint8)


def oval_mask(face: Face) -> F32Array:
    """A soft oval over face and hair, `[H, W]` in 0..1."""
    height, width = face.picture.shape[:2]
    box = points_box(face.points)
    side = float((box[2:] - box[:2]).max())
    centre = (box[:2] + box[2:]) / 2 - np.array([0, 0.12 * side])
    mask = np.zeros((height, width), np.float32)
    axes = (int(side * 0.62), int(side * 0.82))
    cv2.ellipse(mask, centre.astype(int).tolist(), axes, 0.0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(1.0, side * 0.04)), np.float32)


def covered(face: Face, rng: np.random.Generator) -> U8Array:
    """The picture of a face with the face taken away: shuffled, flooded or a patch over it."""
    picture = face.picture.copy()
    height, width = picture.shape[:2]
    kind = rng.random()
    box = points_box(face.points)
    reach = (box[2:] - box[:2]) * 0.2
    low = np.maximum(box[:2] - reach * np.array([1, 1.4]), 0).astype(int)
    high = np.minimum(box[2:] + reach, [width, height]).astype(int)
    if kind < 0.4:
        side = int(rng.integers(3, 6))
        whole = cv2.resize(picture, (CANVAS_PX // side * side,) * 2)
        tile = CANVAS_PX // side
        tiles = whole.reshape(side, tile, side, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
        tiles = tiles[rng.permutation(side * side)]
        return np.ascontiguousarray(
            tiles.reshape(side, side, tile, tile, 3).swapaxes(1, 2).reshape(whole.shape)
        )
    region = picture[low[1] : high[1], low[0] : high[0]]
    if region.size == 0:
        return texture(height, width, rng)
    if kind < 0.7:
        # Skin without features: what a cheek, an arm or a blank oval looks like.
        tint = np.median(region.reshape(-1, 3), axis=0) + rng.normal(0, 6, (*region.shape[:2], 1))
        mask = np.zeros(region.shape[:2], np.float32)
        axes = (int(region.shape[1] * 0.47), int(region.shape[0] * 0.49))
        centre = (region.shape[1] // 2, region.shape[0] // 2)
        cv2.ellipse(mask, centre, axes, 0.0, 0, 360, 1.0, -1)
        alpha = cv2.GaussianBlur(mask, (0, 0), 4)[..., None]
        region[:] = np.clip(region * (1 - alpha) + tint * alpha, 0, 255).astype(np.uint8)
    else:
        region[:] = texture(region.shape[0], region.shape[1], rng)
    return picture


class SceneMaker:
    """Composes training pictures.

    Args:
        sampler: where the faces come from.
        empty: pictures without faces; may be empty.
        rng: source of all choices.
    """

    def __init__(
        self, sampler: FaceSampler, empty: list[U8Array], rng: np.random.Generator
    ) -> None:
        self._sampler, self._empty, self._rng = sampler, empty, rng

    def background(self) -> U8Array:
        """A face-free canvas `[256, 256, 3]`."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.15:
            return texture(CANVAS_PX, CANVAS_PX, rng)
        if kind < 0.38 or not self._empty:
            picture = covered(self._sampler.draw(rng), rng)
        else:
            picture = self._empty[rng.integers(len(self._empty))]
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.35, 1.0))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        part = picture[top : top + side, left : left + side]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        if rng.random() < 0.15:
            part = np.rot90(part, int(rng.integers(1, 4)))
        way = cv2.INTER_AREA if side > CANVAS_PX else cv2.INTER_LINEAR
        part = np.ascontiguousarray(part)
        return np.asarray(cv2.resize(part, (CANVAS_PX, CANVAS_PX), interpolation=way), np.uint8)

    def scene(self) -> Scene:
        """A spoiled picture with no, one or several faces."""
        rng = self._rng
        canvas = self.background()
        boxes: list[F32Array] = []
        kind = rng.random()
        if kind < EMPTY_SHARE:
            pass
        elif kind < 0.65:
            side = float(np.exp(rng.uniform(np.log(SMALLEST_PX * 1.5), np.log(LARGEST_PX))))
            canvas, box = self._paste(canvas, side)
            boxes.append(box)
        else:
            for _ in range(int(rng.integers(1, MAX_FACES))):
                side = float(np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(110))))
                canvas, clear = self._paste_clear(canvas, side, boxes)
                if clear is not None:
                    boxes.append(clear)
        found = np.stack(boxes) if boxes else np.zeros((0, 4), np.float32)
        return Scene(spoil(canvas, rng), found.astype(np.float32))

    def _centre(self, side: float) -> F32Array:
        room = max(CANVAS_PX - 0.8 * side, 0.1 * CANVAS_PX) / 2
        return (CANVAS_PX / 2 + self._rng.uniform(-room, room, 2)).astype(np.float32)

    def _paste(self, canvas: U8Array, side: float) -> tuple[U8Array, F32Array]:
        """Put a face's whole picture onto the canvas; often it fills it."""
        face = self._sampler.draw(self._rng)
        matrix, points = place_face(face, side, self._centre(side), self._rng)
        fill = self._rng.random() < 0.4
        border = cv2.BORDER_REPLICATE if fill else cv2.BORDER_CONSTANT
        return warp_onto(canvas, face, matrix, None, border), points_box(points)

    def _paste_clear(
        self, canvas: U8Array, side: float, taken: list[F32Array]
    ) -> tuple[U8Array, F32Array | None]:
        """Paste a face where it and its surroundings hide no earlier one."""
        rng = self._rng
        face = self._sampler.draw(rng)
        matrix, points = place_face(face, side, self._centre(side), rng)
        box = points_box(points)
        mask = oval_mask(face)
        if rng.random() < 0.5:
            # A cut-out with straight edges: a picture on a wall, a window on a screen.
            mask = (mask > 0.02).astype(np.float32)
            rows, columns = np.nonzero(mask)
            mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 1.0
        wide = box + np.array([-0.6, -1.0, 0.6, 0.6]) * side
        for other in taken:
            if (np.minimum(wide[2:], other[2:]) > np.maximum(wide[:2], other[:2])).all():
                return canvas, None
        return warp_onto(canvas, face, matrix, mask, cv2.BORDER_CONSTANT), box
