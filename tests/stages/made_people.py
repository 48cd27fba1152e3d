"""Folder trees of small videos in which people are painted squares, and trackers that see them."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.landmarks.made_faces import Square, SquareTracker, paint
from thvideo.video.encode import EncodeSettings
from thvideo.video.timing import FrameTimes
from thvideo.video.write import encode_chunk

SIZE = (120, 200)
PID_FOLDER = "THVIDEO_TEST_PIDS"


def shot(n_frames: int, side: float = 60, background: int = 60, speed_px: float = 0.2):
    """Frames ``[T, H, W, 3]`` of one person who moves to the right; side 0 is nobody."""
    frames = []
    for index in range(n_frames):
        person = Square(80 + speed_px * index, 60, side, (20, 20))
        frame = paint([person] if side else [], SIZE)
        frame[(frame == 60).all(axis=-1)] = (background, background, 40)
        frames.append(frame)
    return np.stack(frames)


def write_shots(path: Path, *shots: np.ndarray, fps: int = 25) -> Path:
    """Write shots one after another as one video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.concatenate(shots)
    times = FrameTimes.constant(Fraction(fps), len(frames))
    settings = EncodeSettings(crf=6, preset="ultrafast", threads=1)
    encode_chunk(path, iter([frames]), times, 0, len(frames), settings)
    return path


def damage(path: Path) -> Path:
    """Cut a video off in the middle."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


class NotingTracker(SquareTracker):
    """Leaves the number of its process in a folder."""

    def __init__(self) -> None:
        super().__init__()
        folder = os.environ.get(PID_FOLDER)
        if folder:
            (Path(folder) / str(os.getpid())).touch()


class DeadlyTracker(SquareTracker):
    """Ends its process at the sight of a large person."""

    def detect(self, frames: np.ndarray, near: np.ndarray | None = None) -> list[np.ndarray]:
        found = super().detect(frames)
        if any(len(boxes) and boxes[0, 2] - boxes[0, 0] > 75 for boxes in found):
            os._exit(9)
        return found
