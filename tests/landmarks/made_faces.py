"""Made faces: 70 symmetric points, and a tracker that finds painted squares."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from thvideo.landmarks.schema import flip_points

Colour = tuple[int, int]


def unit_face() -> np.ndarray:
    """A face of 70 points ``[70, 2]``, mirror-symmetric, its bounding box 1 wide and 1 high."""
    face = np.zeros((70, 2))
    angle = np.linspace(np.pi, 0, 17)
    face[:17] = np.stack([0.5 * np.cos(angle), -0.3 + 0.8 * np.sin(angle)], axis=1)
    face[17:22] = np.stack([np.linspace(-0.42, -0.1, 5), [-0.44, -0.49, -0.5, -0.48, -0.45]], 1)
    face[27:31] = np.stack([np.zeros(4), np.linspace(-0.28, 0.02, 4)], 1)
    face[31:36] = np.stack([np.linspace(-0.1, 0.1, 5), [0.08, 0.1, 0.11, 0.1, 0.08]], 1)
    eye = [(-0.34, -0.28), (-0.28, -0.33), (-0.19, -0.33), (-0.13, -0.28), (-0.19, -0.25)]
    face[36:42] = [*eye, (-0.28, -0.25)]
    face[48:60] = [
        (-0.2, 0.26), (-0.12, 0.22), (-0.04, 0.2), (0.0, 0.21), (0.04, 0.2), (0.12, 0.22),
        (0.2, 0.26), (0.12, 0.31), (0.04, 0.33), (0.0, 0.335), (-0.04, 0.33), (-0.12, 0.31),
    ]  # fmt: skip
    face[60:68] = [
        (-0.17, 0.26), (-0.05, 0.25), (0.0, 0.255), (0.05, 0.25),
        (0.17, 0.26), (0.05, 0.27), (0.0, 0.275), (-0.05, 0.27),
    ]  # fmt: skip
    face[68] = (-0.235, -0.29)
    mirrored = flip_points(face, 1)
    missing = [*range(22, 27), *range(42, 48), 69]
    face[missing] = mirrored[missing]
    return face


def face_at(x: float, y: float, side: float) -> np.ndarray:
    """The made face at a place, ``[70, 2]`` in pixels."""
    return unit_face() * side + (x, y)


@dataclass(frozen=True)
class Square:
    """A painted person: where it is, how large, and its colour (green, blue to 200)."""

    x: float
    y: float
    side: float
    colour: Colour = (0, 0)


def paint(squares: list[Square], size: tuple[int, int] = (120, 200)) -> np.ndarray:
    """A frame ``[H, W, 3]`` with people as squares; red above 200 marks them."""
    frame = np.full((*size, 3), 60, dtype=np.uint8)
    for square in squares:
        low = np.round([square.x - square.side / 2, square.y - square.side / 2]).astype(int)
        high = np.round([square.x + square.side / 2, square.y + square.side / 2]).astype(int)
        low = np.maximum(low, 0)
        face = frame[low[1] : high[1] + 1, low[0] : high[0] + 1]
        face[:] = (255, *square.colour)
        # A pattern of its own for every colour, or all would look alike to a likeness.
        step = max(2, round(square.side / 8))
        along = face.swapaxes(0, 1) if square.colour[0] > 100 else face
        for first in range(0, len(along), 2 * step):
            along[first : first + step, :, 2] += 55
    return frame


@dataclass
class SquareTracker:
    """Finds painted squares; counts what it was asked, in frames."""

    name: str = "squares"
    clear: float = 0.95
    n_detected: int = 0
    n_placed: int = 0
    blind: set[int] = field(default_factory=set)

    def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
        self.n_detected += len(frames)
        found = []
        for frame in frames:
            boxes = [box for box, green in _squares(frame) if green not in self.blind]
            found.append(np.array([[*b, 0.9] for b in boxes], np.float32).reshape(-1, 5))
        return found

    def landmarks(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.n_placed += len(frames)
        points = np.full((len(frames), 70, 2), np.nan, np.float32)
        confidence = np.zeros(len(frames), np.float32)
        for row, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            if not np.isfinite(box).all():
                continue
            points[row] = face_at(box[0], box[1], box[2])
            confidence[row] = 0.05
            for (x0, y0, x1, y1), _ in _squares(frame):
                if abs((x0 + x1) / 2 - box[0]) < 0.5 * box[2] > abs((y0 + y1) / 2 - box[1]):
                    points[row] = unit_face() * (x1 - x0, y1 - y0)
                    points[row] += ((x0 + x1) / 2, (y0 + y1) / 2)
                    confidence[row] = 0.95
        return points, confidence

    def observe(
        self, frames: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return *self.landmarks(frames, boxes), np.full(len(frames), np.nan, np.float32)


def _squares(frame: np.ndarray) -> list[tuple[tuple[int, int, int, int], int]]:
    mask = (frame[..., 0] > 200).astype(np.uint8)
    n_parts, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    squares = []
    for x, y, width, height, area in stats[1:n_parts]:
        if area >= 25:
            green = int(frame[y + height // 2, x + width // 2, 1])
            box = (int(x), int(y), int(x + width - 1), int(y + height - 1))
            squares.append((box, green))
    return squares
