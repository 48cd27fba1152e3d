"""A tracker made of the face-alignment package: S3FD finds faces, 2DFAN-4 their 68 points.

The package is optional (``pip install 'thvideo[face-alignment]'``) and fetches its weights when
it is first used. Irises are not among its points: they are NaN, and gaze is not transferred.
"""

import importlib
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlparse

import cv2
import numpy as np
import torch
from torch import Tensor

from thvideo.errors import StageError, UsageError
from thvideo.landmarks.face_crop import apply_affine, crop_matrix, invert_affine, warp_crop
from thvideo.landmarks.schema import N_IBUG_POINTS, N_POINTS
from thvideo.shapes import F32Array, U8Array, check_shape

CROP_PX = 256
CELL_PX = 4
# The package's crops are 200 / 195 of a box's width and height together, and lie 0.12 of its
# height higher than the box (`crop` and CENTER_Y_OFFSET in its `utils.py`).
_CROP_SIDES = 2.0
_LIFT_SIDES = 0.12
# S3FD boxes reach up to the hairline, boxes here end at the brows.
_BROWS_SHARE = 0.22
_MAX_DETECTED_SIDE_PX = 640
# Cells around a map's peak over which the place is averaged: the maps' spots are 2 cells wide.
_PEAK_CELLS = 2


class _Detector(Protocol):
    def detect_from_batch(self, tensor: Tensor) -> list[Any]: ...


class _Package(Protocol):
    """What is used of ``face_alignment.FaceAlignment``."""

    face_detector: _Detector
    face_alignment_net: Any


class FaceAlignmentTracker:
    """Tracker over the face-alignment package.

    Different from the package: crops are turned upright, and a point is the centre of mass of
    its heat map's peak instead of a whole pixel, which would shake.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps".
        batch_size: Crops on the device at once.

    Raises:
        UsageError: The package is not installed.
        StageError: Its weights cannot be fetched or read.
    """

    name = "face-alignment"
    # Heat maps' peaks, whose heights differ with focus: fit and symmetry have to say the rest.
    clear = 0.7

    def __init__(self, device: str = "cpu", batch_size: int = 16) -> None:
        self._device = device
        self._batch_size = batch_size
        self._package = load_package(device)

    def detect(self, frames: U8Array, near: F32Array | None = None) -> list[F32Array]:
        """Find faces; see :class:`thvideo.landmarks.tracker.Tracker`."""
        del near  # all faces of a frame come from one look
        check_shape(frames, "T H W 3")
        found: list[F32Array] = []
        n_at_once = max(1, self._batch_size // 4)
        for first in range(0, len(frames), n_at_once):
            found.extend(self._detect_batch(frames[first : first + n_at_once]))
        return found

    def landmarks(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array]:
        """Place points; see :class:`thvideo.landmarks.tracker.Tracker`."""
        check_shape(boxes, "T 4", **check_shape(frames, "T H W 3"))
        points = np.full((len(frames), N_POINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros(len(frames), dtype=np.float32)
        usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 0)
        rows = np.flatnonzero(usable)
        for first in range(0, len(rows), self._batch_size):
            chosen = rows[first : first + self._batch_size]
            matrices = [_matrix(boxes[row]) for row in chosen]
            crops = np.stack(
                [
                    warp_crop(frames[row], matrix, CROP_PX, cv2.BORDER_CONSTANT)
                    for row, matrix in zip(chosen, matrices, strict=True)
                ]
            )
            cells, peaks = read_heat_maps(self._heat_maps(crops))
            for row, matrix, place, peak in zip(chosen, matrices, cells, peaks, strict=True):
                in_crop = ((place + 0.5) * CELL_PX - 0.5).astype(np.float32)
                points[row, :N_IBUG_POINTS] = apply_affine(invert_affine(matrix), in_crop)
                confidence[row] = np.clip(peak.mean(), 0.0, 1.0)
        return points, confidence

    def observe(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array, F32Array]:
        """Place points; this tracker cannot tell whether the mouth is covered."""
        return *self.landmarks(frames, boxes), np.full(len(frames), np.nan, dtype=np.float32)

    def _detect_batch(self, frames: U8Array) -> list[F32Array]:
        height, width = frames.shape[1:3]
        scale = min(1.0, _MAX_DETECTED_SIDE_PX / max(height, width))
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            frames = np.stack(
                [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
            ).astype(np.uint8)
        tensor = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        return [
            _tight_boxes(np.asarray(faces, dtype=np.float32).reshape(-1, 5), scale)
            for faces in self._package.face_detector.detect_from_batch(tensor)
        ]

    @torch.inference_mode()
    def _heat_maps(self, crops: U8Array) -> F32Array:
        """Crops ``[B, 256, 256, 3]`` to heat maps ``[B, 68, 64, 64]``."""
        tensor = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        maps = self._package.face_alignment_net(tensor)
        # Releases differ in whether all stages are returned: the last one is the result.
        last = maps[-1] if isinstance(maps, list | tuple) else maps
        return np.asarray(last.float().cpu().numpy(), dtype=np.float32)


def load_package(device: str) -> _Package:
    """Build the package's networks on a device.

    Args:
        device: A device of torch by name.

    Raises:
        UsageError: The package is not installed.
        StageError: Its weights cannot be fetched or read.
    """
    try:
        package = importlib.import_module("face_alignment")
        api = importlib.import_module("face_alignment.api")
        sfd = importlib.import_module("face_alignment.detection.sfd.sfd_detector")
    except ImportError as error:
        raise UsageError(
            f"the tracker face-alignment is not installed ({error})",
            hint="pip install 'thvideo[face-alignment]', or use --tracker bundled",
        ) from error
    urls = [api.models_urls["2DFAN-4"], sfd.models_urls["s3fd"]]
    kind = package.LandmarksType.TWO_D
    try:
        aligner: _Package = package.FaceAlignment(
            kind, device=device, flip_input=False, compile=False
        )
    except Exception as error:  # a damaged file makes torch raise almost anything
        raise _weights_error(urls, error) from error
    return aligner


def read_heat_maps(maps: F32Array) -> tuple[F32Array, F32Array]:
    """Find the place and height of every map's peak, to a fraction of a cell.

    Args:
        maps: ``[B, N, S, S]``.

    Returns:
        Places ``[B, N, 2]`` (x, y) in cells, cell centres at whole numbers, and heights
        ``[B, N]``.
    """
    n_batch, n_points, _, size = maps.shape
    flat = maps.reshape(n_batch * n_points, size * size)
    peak = flat.argmax(axis=1)
    height = flat[np.arange(len(flat)), peak]
    around = np.arange(-_PEAK_CELLS, _PEAK_CELLS + 1)
    rows = peak[:, None] // size + around
    columns = peak[:, None] % size + around
    padded = np.pad(maps.reshape(-1, size, size), ((0, 0), (_PEAK_CELLS,) * 2, (_PEAK_CELLS,) * 2))
    spot = padded[
        np.arange(len(flat))[:, None, None],
        rows[:, :, None] + _PEAK_CELLS,
        columns[:, None, :] + _PEAK_CELLS,
    ]
    # Squared, so that the far end of the window does not draw the place to its middle.
    weight = np.maximum(spot, 0.0) ** 2
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-12)
    x = (weight.sum(axis=1) * columns).sum(axis=1) / total
    y = (weight.sum(axis=2) * rows).sum(axis=1) / total
    places = np.stack([x, y], axis=-1).reshape(n_batch, n_points, 2)
    return places.astype(np.float32), height.reshape(n_batch, n_points).astype(np.float32)


def _matrix(box: F32Array) -> F32Array:
    """The crop the network was trained on: a little above the box, and twice as large."""
    lift = _LIFT_SIDES * box[2]
    raised = box.copy()
    raised[0] += lift * np.sin(box[3])
    raised[1] -= lift * np.cos(box[3])
    return crop_matrix(raised, CROP_PX, _CROP_SIDES)


def _tight_boxes(faces: F32Array, scale: float) -> F32Array:
    """Boxes ``[N, 5]`` of the detector to boxes from brows to chin, best first."""
    boxes = faces[np.argsort(-faces[:, 4], kind="stable")].copy()
    boxes[:, 1] += _BROWS_SHARE * (boxes[:, 3] - boxes[:, 1])
    boxes[:, :4] = (boxes[:, :4] + 0.5) / scale - 0.5
    return boxes


def _weights_error(urls: list[str], error: Exception) -> StageError:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    places = [(folder / Path(urlparse(url).path).name, url) for url in urls]
    missing = [(path, url) for path, url in places if not path.is_file()]
    if missing:
        path, url = missing[0]
        return StageError(
            f"the weights of the tracker face-alignment could not be fetched from {url} ({error})",
            hint=f"fetch the file elsewhere and put it at {path}, or use --tracker bundled",
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    names = " or ".join(str(path) for path, _ in places)
    return StageError(
        f"the weights of the tracker face-alignment cannot be read ({reason})",
        hint=f"remove {names}, so that it is fetched again, or use --tracker bundled",
    )
