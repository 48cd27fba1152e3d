"""Frames and labels of a dataset: kept in memory where they fit, else read as they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from thvideo.shapes import F32Array, I64Array, U8Array
from thvideo.training.dataset import ClipTable, loss_mask, read_frames, read_labels


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

    def points(self, clip: int) -> F32Array:
        """Return the landmarks ``[T, 70, 2]`` of a whole clip, in pixels of some size."""
        ...


class StreamedClips:
    """Reads what is asked for, each time anew: for datasets larger than memory.

    Args:
        table: The dataset's clips.
        rows: ``[N]`` the table's rows that are used; a clip's number is its place in these.
    """

    def __init__(self, table: ClipTable, rows: I64Array) -> None:
        self._table, self._rows = table, rows

    def digest(self) -> str:
        """Return a SHA-256 of the clips' names in the order of their numbers, in hex."""
        return self._table.digest(self._rows)

    def cut(self, clip: int, indices: Sequence[int]) -> Cut:
        """Return frames of one clip, in the order wanted."""
        row = self._table[int(self._rows[clip])]
        labels = read_labels(self._table.root, row)
        frames = read_frames(self._table.root, row, indices)
        mask = loss_mask(row, labels, frames.shape[1]).astype(np.uint8) * np.uint8(255)
        return Cut(frames, labels.points[list(indices)], mask)

    def points(self, clip: int) -> F32Array:
        """Return the landmarks ``[T, 70, 2]`` of a whole clip."""
        return read_labels(self._table.root, self._table[int(self._rows[clip])]).points


class CachedClips:
    """Reads every clip once and keeps it, shrunk to the size that is trained on.

    Args:
        streamed: The clips.
        lengths: ``[N]`` how many frames each has.
        size_px: Frames larger than this are shrunk to it.
    """

    def __init__(self, streamed: StreamedClips, lengths: I64Array, size_px: int) -> None:
        self._cuts = [
            shrunk(streamed.cut(clip, range(int(length))), size_px)
            for clip, length in enumerate(lengths)
        ]

    def cut(self, clip: int, indices: Sequence[int]) -> Cut:
        """Return frames of one clip, in the order wanted."""
        whole, wanted = self._cuts[clip], list(indices)
        return Cut(whole.frames[wanted], whole.points[wanted], whole.mask)

    def points(self, clip: int) -> F32Array:
        """Return the landmarks ``[T, 70, 2]`` of a whole clip."""
        return self._cuts[clip].points


def cached_bytes(lengths: I64Array, size_px: int) -> int:
    """Return what the frames of ``CachedClips`` would take, for clips of so many frames."""
    return int(lengths.sum()) * size_px * size_px * 3


def shrunk(cut: Cut, size_px: int) -> Cut:
    """Return frames of ``size_px`` along a side; smaller ones as they are."""
    disk_px = cut.frames.shape[1]
    if disk_px <= size_px:
        return cut
    points = (cut.points + 0.5) * np.float32(size_px / disk_px) - 0.5
    mask = shrunk_to(cut.mask[None], size_px)[0]
    return Cut(shrunk_to(cut.frames, size_px), points.astype(np.float32), mask)


def shrunk_to(pictures: U8Array, size_px: int) -> U8Array:
    """Average pictures ``[N, S, S]`` or ``[N, S, S, 3]`` down to ``size_px`` along a side."""
    if pictures.shape[1] == size_px:
        return pictures
    side = (size_px, size_px)
    return np.stack([cv2.resize(one, side, interpolation=cv2.INTER_AREA) for one in pictures])
