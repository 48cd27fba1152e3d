"""The pixels and landmarks of a take, read when they are first needed."""

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from thvideo.evaluation.clip_landmarks import ClipLandmarks
from thvideo.evaluation.protocol import Take
from thvideo.landmarks.adapt import adapt
from thvideo.shapes import BoolArray, F32Array, F64Array, U8Array
from thvideo.training.batch import region_of
from thvideo.training.dataset import Labels, loss_mask, read_frames, read_labels
from thvideo.training.self_pairs import Shots


class Scene:
    """What a take is drawn from and what it is held against.

    Args:
        root: The dataset's folder.
        take: What is drawn.
        max_shots: The most source frames that any method is given.
        landmarks: What the methods draw from.
    """

    def __init__(self, root: Path, take: Take, max_shots: int, landmarks: ClipLandmarks) -> None:
        self._root, self.take, self._max_shots = root, take, max_shots
        self._landmarks = landmarks

    def shots(self, n_shots: int) -> Shots:
        """Return the first source frames of the take.

        Raises:
            InputError: The clip is damaged.
        """
        return self._shots.part(0, n_shots)

    @property
    def size_px(self) -> int:
        """Side of what is drawn: the source clip's own."""
        return self._shots.size_px

    @cached_property
    def _shots(self) -> Shots:
        take, chosen = self.take, list(self.take.sources[: self._max_shots])
        valid = np.repeat(self._source_labels.valid[None].astype(np.float32), len(chosen), axis=0)
        crops = read_frames(self._root, take.source, chosen)
        return Shots(crops, self._source_landmarks[chosen], valid)

    @cached_property
    def truth(self) -> U8Array:
        """The driver's frames ``[T, S, S, 3]``; for self-reenactment what should be drawn."""
        return read_frames(self._root, self.take.driver, self.take.wanted)

    @cached_property
    def driver_points(self) -> F32Array:
        """The driver's labels in these frames ``[T, 70, 2]``."""
        return self._driver_labels.points[list(self.take.wanted)]

    @cached_property
    def wanted(self) -> F64Array:
        """The landmarks to draw ``[T, 70, 2]``: the clip's own, or the driver's motion adapted."""
        wanted = list(self.take.wanted)
        if self.take.is_self:
            return self._source_landmarks[wanted].astype(np.float64)
        source = self._source_landmarks[self.take.sources[0]].astype(np.float64)
        return adapt(self._landmarks.of(self.take.driver), source)[wanted]

    @cached_property
    def mask(self) -> BoolArray:
        """Pixels that count ``[S, S]``: of the picture itself, and of no inset."""
        return loss_mask(self.take.source, self._source_labels, self.size_px)

    @cached_property
    def regions(self) -> U8Array:
        """Mouth and eyes of the true frames ``[T, S, S]``, 255 inside."""
        return np.stack([region_of(points, self.size_px) for points in self.driver_points])

    @cached_property
    def _source_landmarks(self) -> F32Array:
        return self._landmarks.of(self.take.source)

    @cached_property
    def _source_labels(self) -> Labels:
        return read_labels(self._root, self.take.source)

    @cached_property
    def _driver_labels(self) -> Labels:
        if self.take.is_self:
            return self._source_labels
        return read_labels(self._root, self.take.driver)


def resized(frames: U8Array, size_px: int) -> U8Array:
    """Bring square frames ``[T, S, S, 3]`` to another side."""
    side = frames.shape[1]
    if side == size_px:
        return frames
    way = cv2.INTER_AREA if side > size_px else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (size_px, size_px), interpolation=way) for frame in frames])
