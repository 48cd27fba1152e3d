"""The landmarks that methods draw from: tracked as the product tracks them, or the labels."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from thvideo.errors import InputError
from thvideo.evaluation.cell import Cell
from thvideo.evaluation.motion import find_points
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.landmarks.smooth import smooth
from thvideo.landmarks.tracker import Tracker
from thvideo.shapes import F32Array
from thvideo.training.dataset import ClipRow, clip_path, read_frames, read_labels
from thvideo.workspace.keys import DigestMemo, stage_key

Landmarks = Literal["tracked", "labels"]

#: Raised when tracked landmarks of an unchanged clip would change.
_VERSION = 2

#: Of a clip that does not say how many it shows a second.
_USUAL_RATE = 25.0


class ClipLandmarks:
    """Landmarks of a dataset's clips, tracked when they are first needed and kept.

    The bundled tracker looks where the labels say that the face is: whose face it is, is known.

    Args:
        root: The dataset's folder.
        folder: Where what is tracked is kept.
        kind: Where landmarks come from.
        tracker: Loads what finds them.
        tracker_digest: Of its weights.
        digests: Of the clips' files.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        kind: Landmarks,
        tracker: Callable[[], Tracker],
        tracker_digest: str,
        digests: DigestMemo,
    ) -> None:
        self._root, self._folder, self._kind = root, folder, kind
        self._tracker, self._tracker_digest, self._digests = tracker, tracker_digest, digests

    @property
    def made_by(self) -> Mapping[str, Any]:
        """What they depend on beside the clips: JSON values."""
        if self._kind == "labels":
            return {"landmarks": self._kind}
        return {"landmarks": self._kind, "tracker": self._tracker_digest, "version": _VERSION}

    def of(self, row: ClipRow) -> F32Array:
        """Return a clip's landmarks ``[T, 70, 2]`` in its pixels.

        Raises:
            InputError: The clip is damaged, or has frames without a face.
            WorkspaceError: The disk refuses.
        """
        labels = read_labels(self._root, row).points
        if not (outer_eye_distance(labels) > 1).all():
            raise InputError(
                f"{row.clip} has frames without a face", hint="leave it out of clips.tsv"
            )
        if self._kind == "labels":
            return labels
        files = {
            suffix: self._digests.digest(clip_path(self._root, row.clip, suffix))
            for suffix in (".mp4", ".npz")
        }
        key = stage_key("evaluate-landmarks", _VERSION, dict(self.made_by), {}, files)
        cell = Cell(self._folder, "landmarks", row.clip)
        kept = cell.arrays("points", key, lambda: {"points": self._tracked(row, labels)})
        return np.asarray(kept["points"], np.float32)

    def _tracked(self, row: ClipRow, labels: F32Array) -> F32Array:
        found = find_points(self._tracker(), read_frames(self._root, row), labels)
        times_s = np.arange(len(found)) / _rate(clip_path(self._root, row.clip, ".mp4"))
        # Where nothing is found the label has to do.
        return smooth(np.where(np.isfinite(found), found, labels), times_s, ())


def _rate(path: Path) -> float:
    # As bytes, which its types do not know: text that is not UTF-8 ends the whole process.
    capture = cv2.VideoCapture(os.fsencode(path))  # type: ignore[call-overload]
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    return rate if rate > 0 and np.isfinite(rate) else _USUAL_RATE
