"""Frames and labels of a dataset: kept in memory where they fit, else read as they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from thvideo.shapes import F32Array, U8Array
from thvideo.training.dataset import ClipRow, loss_mask, read_frames, read_labels


@dataclass(frozen=True)
class Cut:
    """Frames of one clip.

    Args:
        frames: ``[N, S, S, 3]`` RGB.
        points: ``[N, 70, 2]`` in pixels of these frames.
        mask: ``[S, S]`` uint8, 255 where pixels count.
    """

    frames: U8Array
    points: F32Array
    mask: U8Array


class ClipSource(Protocol):
    """Gives frames of a clip by their numbers."""

    def cut(self, clip: int, indices: Sequence[int]) -> Cut:
        """Return frames of one clip, in the order wanted."""
        ...


class StreamedClips:
    """Reads what is asked for, each time anew: for datasets larger than memory.

    Args:
        root: The dataset's folder.
        rows: Its clips.
    """

    def __init__(self, root: Path, rows: Sequence[ClipRow]) -> None:
        self._root, self._rows = root, rows

    def cut(self, clip: int, indices: Sequence[int]) -> Cut:
        """Return frames of one clip, in the order wanted."""
        row = self._rows[clip]
        labels = read_labels(self._root, row)
        frames = read_frames(self._root, row, indices)
        mask = loss_mask(row, labels, frames.shape[1]).astype(np.uint8) * np.uint8(255)
        return Cut(frames, labels.points[list(indices)], mask)


class CachedClips:
    """Reads every clip once and keeps it, shrunk to the size that is trained on.

    Args:
        root: The dataset's folder.
        rows: Its clips.
        size_px: Frames larger than this are shrunk to it.
    """

    def __init__(self, root: Path, rows: Sequence[ClipRow], size_px: int) -> None:
        read = StreamedClips(root, rows)
        self._cuts = [
            _shrunk(read.cut(clip, range(row.n_frames)), size_px) for clip, row in enumerate(rows)
        ]

    def cut(self, clip: int, indices: Sequence[int]) -> Cut:
        """Return frames of one clip, in the order wanted."""
        whole, wanted = self._cuts[clip], list(indices)
        return Cut(whole.frames[wanted], whole.points[wanted], whole.mask)


def cached_bytes(rows: Sequence[ClipRow], size_px: int) -> int:
    """Return what the frames of ``CachedClips`` would take."""
    return sum(row.n_frames for row in rows) * size_px * size_px * 3


def _shrunk(cut: Cut, size_px: int) -> Cut:
    disk_px = cut.frames.shape[1]
    if disk_px <= size_px:
        return cut
    side = (size_px, size_px)
    frames = [cv2.resize(frame, side, interpolation=cv2.INTER_AREA) for frame in cut.frames]
    points = (cut.points + 0.5) * np.float32(size_px / disk_px) - 0.5
    mask = cv2.resize(cut.mask, side, interpolation=cv2.INTER_AREA)
    return Cut(np.stack(frames), points.astype(np.float32), np.asarray(mask, np.uint8))
