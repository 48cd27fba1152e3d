"""Things painted before faces: a hand over the mouth or an eye, a cup, paper, sunglasses."""

import cv2
import numpy as np

Point = tuple[float, float]


def _polygon(frame: np.ndarray, points: list[np.ndarray], colour: tuple[int, int, int]) -> None:
    corners = np.round(np.array(points) * 16).astype(np.int32)
    cv2.fillPoly(frame, [corners], colour, cv2.LINE_AA, 4)


def _on_face(points: np.ndarray, face: list[Point]) -> list[np.ndarray]:
    """Places in outer eye distances from amid the eyes, x to the picture's right, y down."""
    across = points[45] - points[36]
    down = np.array([-across[1], across[0]])
    middle = (points[45] + points[36]) / 2
    return [middle + x * across + y * down for x, y in face]


def _hand(frame: np.ndarray, points: np.ndarray, middle: Point) -> None:
    """A fist of the face's own colour with four fingers up."""
    x, y = middle
    row, column = np.round(points[29][::-1]).astype(int)
    skin = frame[row, column].astype(int)
    for finger in range(4):
        left = x - 0.5 + 0.25 * finger
        corners = [(left, y + 0.5), (left + 0.24, y + 0.5), (left + 0.24, y - 0.6), (left, y - 0.6)]
        shade = skin * (1 - 0.06 * (finger % 2))
        _polygon(frame, _on_face(points, corners), tuple(int(value) for value in shade))


def over_the_mouth(frame: np.ndarray, points: np.ndarray) -> None:
    _hand(frame, points, (0.0, 1.0))


def over_an_eye(frame: np.ndarray, points: np.ndarray) -> None:
    _hand(frame, points, (-0.6, 0.0))


def cup(frame: np.ndarray, points: np.ndarray) -> None:
    corners = [(-0.45, 0.7), (0.45, 0.7), (0.38, 1.7), (-0.38, 1.7)]
    _polygon(frame, _on_face(points, corners), (235, 232, 225))


def paper(frame: np.ndarray, points: np.ndarray) -> None:
    corners = [(-1.2, 0.4), (1.2, 0.4), (1.2, 2.2), (-1.2, 2.2)]
    _polygon(frame, _on_face(points, corners), (240, 240, 236))


def sunglasses(frame: np.ndarray, points: np.ndarray) -> None:
    for x in (-0.42, 0.42):
        corners = [(x - 0.35, -0.15), (x + 0.35, -0.15), (x + 0.3, 0.25), (x - 0.3, 0.25)]
        _polygon(frame, _on_face(points, corners), (20, 20, 22))
