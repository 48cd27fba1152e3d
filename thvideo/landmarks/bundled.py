"""The tracker that ships with the package: a small detector and a small landmark network."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from thvideo.errors import DeviceError, UsageError
from thvideo.landmarks.continuity import may_be_next
from thvideo.landmarks.cover import log_odds_covered
from thvideo.landmarks.face_crop import apply_affine, crop_matrix, invert_affine, warp_crop
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.landmarks.tracker import box_from_detection, box_from_points
from thvideo.models.detector import MULTIPLE_PX, DetectorNet, pick_peaks
from thvideo.models.landmark_net import (
    CROP_PX,
    N_POINTS,
    LandmarkNet,
    cells_to_px,
    fold_norms,
    read_maps,
)
from thvideo.models.precision import Precision
from thvideo.shapes import F32Array, I64Array, U8Array, check_shape
from thvideo.weights.cards import shipped_weight

DETECTOR_WEIGHT, LANDMARK_WEIGHT = "tracker_detector", "tracker_landmarks"
DETECTION_PX = 320
# Where the usual size finds nothing: a face that fills the picture, then a very small one.
SECOND_LOOKS_PX = (176, 640)
# Detector scores from which a find is looked at, and scores of both networks together from which
# it is a face: between the weakest of 354 faces and the strongest of 32 pictures without one.
CANDIDATE_SCORE, FACE_SCORE = 0.25, 0.55
# A picture in which nothing was found at the usual size mostly holds nothing.
SECOND_SCORE = 0.65
_DETECT_BATCH, _CROP_BATCH = 8, 32


class BundledTracker:
    """Detector and landmark network on PyTorch, without anything to download.

    Args:
        device: PyTorch device.
        precision: arithmetic of the networks.
        detector: weights to use instead of the shipped ones.
        landmarks: weights to use instead of the shipped ones.

    Raises:
        DeviceError: the device is not there.
        UsageError: the precision is unknown.
        InputError: the weights are not there.
    """

    name = "bundled"
    # The median over 237 pictures is 0.993.
    clear = 0.99

    def __init__(
        self,
        device: str = "cpu",
        precision: Precision = "fp32",
        *,
        detector: Path | None = None,
        landmarks: Path | None = None,
    ) -> None:
        self._device = _usable_device(device)
        self._dtype = _dtype_for(precision)
        self._detector = self._load(DetectorNet(), detector or shipped_weight(DETECTOR_WEIGHT))
        self._landmarks = self._load(LandmarkNet(), landmarks or shipped_weight(LANDMARK_WEIGHT))

    def detect(self, frames: U8Array, near: F32Array | None = None) -> list[F32Array]:
        """Find the faces of every frame; see `Tracker.detect`.

        A find counts when the landmark network takes it for a face too.
        """
        check_shape(frames, "T H W 3")
        found = self._look(frames, DETECTION_PX, FACE_SCORE, near)
        for size_px in SECOND_LOOKS_PX:
            missing = [index for index, boxes in enumerate(found) if not len(boxes)]
            if missing:
                again = self._look(frames[missing], size_px, SECOND_SCORE, near)
                for index, boxes in zip(missing, again, strict=True):
                    found[index] = boxes
        return found

    def landmarks(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array]:
        """Place 70 points on one face per frame; see `Tracker.landmarks`."""
        check_shape(frames, "T H W 3")
        check_shape(boxes, "T 4", T=len(frames))
        return self._landmarks_of(frames, np.arange(len(frames)), boxes)[:2]

    def observe(self, frames: U8Array, boxes: F32Array) -> tuple[F32Array, F32Array, F32Array]:
        """Place points and say how likely the mouth is covered; see `Tracker.observe`."""
        check_shape(boxes, "T 4", **check_shape(frames, "T H W 3"))
        return self._landmarks_of(frames, np.arange(len(frames)), boxes)

    def _landmarks_of(
        self, frames: U8Array, shown: I64Array, boxes: F32Array
    ) -> tuple[F32Array, F32Array, F32Array]:
        """Place points on N faces, each in frame `shown[n]` and box `boxes[n]`.

        Returns:
            Points, confidence and the log odds that the mouth is covered.
        """
        points = np.full((len(boxes), N_POINTS, 2), np.nan, np.float32)
        confidence = np.zeros(len(boxes), np.float32)
        covered = np.full(len(boxes), np.nan, np.float32)
        usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 1)
        for rows in _groups(np.flatnonzero(usable), _CROP_BATCH):
            matrices = [crop_matrix(boxes[row], CROP_PX) for row in rows]
            crops = np.stack(
                [
                    warp_crop(frames[shown[row]], matrix, CROP_PX)
                    for row, matrix in zip(rows, matrices, strict=True)
                ]
            )
            found, confidence[rows], covered[rows] = self._place(crops)
            for row, matrix, placed in zip(rows, matrices, found, strict=True):
                points[row] = apply_affine(invert_affine(matrix), placed)
        return points, confidence, covered

    def _look(
        self, frames: U8Array, longest_px: int, least_score: float, near: F32Array | None
    ) -> list[F32Array]:
        """Detect at one scale and keep what the landmark network confirms."""
        found: list[F32Array] = []
        for rows in _groups(np.arange(len(frames)), _DETECT_BATCH):
            pairs = [letterbox(frames[row], longest_px) for row in rows]
            with torch.inference_mode():
                seen = self._detector(self._tensor(np.stack([p for p, _ in pairs])))
                # Box against box is asked one by one: a device would be waited for each time.
                logits, boxes = (of_cells.float().cpu() for of_cells in seen)
                peaks = pick_peaks(logits, boxes, CANDIDATE_SCORE)
            candidates = [peak.numpy().astype(np.float32) for peak in peaks]
            for boxes_px, (_, scale) in zip(candidates, pairs, strict=True):
                boxes_px[:, :4] = (boxes_px[:, :4] + 0.5) / scale - 0.5
            shown = np.repeat(rows, [len(boxes_px) for boxes_px in candidates])
            together = np.concatenate(candidates)
            together[:, 4] = self._scores_near(frames, shown, together, least_score, near)
            for row in rows:
                own = together[(shown == row) & (together[:, 4] >= least_score)]
                found.append(own[np.argsort(-own[:, 4], kind="stable")])
        return found

    def _scores_near(
        self,
        frames: U8Array,
        shown: I64Array,
        candidates: F32Array,
        least_score: float,
        near: F32Array | None,
    ) -> F32Array:
        """Scores as of `_scores`; 0 beside what can be the face that was in a box before."""
        if near is None:
            return self._scores(frames, shown, candidates, least_score)
        scores = np.zeros(len(candidates), np.float32)
        first = may_be_next(near, box_from_detection(candidates))
        scores[first] = self._scores(frames, shown[first], candidates[first], least_score)
        rest = ~np.isin(shown, shown[scores >= least_score]) & ~first
        scores[rest] = self._scores(frames, shown[rest], candidates[rest], least_score)
        return scores

    def _scores(
        self, frames: U8Array, shown: I64Array, candidates: F32Array, least_score: float
    ) -> F32Array:
        """Scores of both networks together; 0 where it is clear that they stay below the least."""
        rough, face, _ = self._landmarks_of(frames, shown, box_from_detection(candidates))
        score = np.cbrt(candidates[:, 4] * face)
        # A second look can only take away: who is below already needs none.
        hopeful = np.flatnonzero(score >= least_score)
        score[score < least_score] = 0
        # A face's landmarks stay where they are when the network looks again from them; a
        # cup's or a cell's do not.
        boxes = box_from_points(rough[hopeful])
        fine, again, _ = self._landmarks_of(frames, shown[hopeful], boxes)
        moved = np.linalg.norm(fine - rough[hopeful], axis=-1).mean(1) / outer_eye_distance(fine)
        sure = np.cbrt(candidates[hopeful, 4] * face[hopeful] * again) - moved
        score[hopeful] = np.nan_to_num(sure, nan=0.0).clip(0, 1)
        return np.asarray(score, np.float32)

    def _place(self, crops: U8Array) -> tuple[F32Array, F32Array, F32Array]:
        """Points in crop pixels, face probability and log odds of a cover of `[B, 128, 128, 3]`."""
        with torch.inference_mode():
            maps, face = self._landmarks(self._tensor(crops))
            places, spread = read_maps(maps)
            points, logits = cells_to_px(places).cpu().numpy(), face.float().cpu().numpy()
        covered = log_odds_covered(spread.cpu().numpy(), logits, points)
        return points, 1 / (1 + np.exp(-logits)), covered

    def _tensor(self, pictures: U8Array) -> Tensor:
        """`[B, H, W, 3]` uint8 to `[B, 3, H, W]` in 0..1, channels last in memory."""
        batch = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2)
        return (batch.float() / 255).to(self._dtype)

    def _load(self, net: nn.Module, path: Path) -> nn.Module:
        net = fold_norms(net.eval())
        net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        moved = net.to(self._device, self._dtype)
        last: nn.Module = moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return last


def letterbox(frame: U8Array, longest_px: int) -> tuple[U8Array, float]:
    """Scale a frame to a longest side and pad it, right and below, for the detector.

    Args:
        frame: `[H, W, 3]`.
        longest_px: the longer side after scaling.

    Returns:
        The padded picture and the scale.
    """
    height, width = frame.shape[:2]
    scale = longest_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(frame, size, interpolation=way)
    right, below = -size[0] % MULTIPLE_PX, -size[1] % MULTIPLE_PX
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return np.asarray(padded, np.uint8), scale


def _groups(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _usable_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"the device {name!r} cannot be used", hint="use cpu") from error
    return device


def _dtype_for(precision: Precision) -> torch.dtype:
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision not in known:
        raise UsageError(f"the precision {precision!r} is unknown", hint="use fp32 or bf16")
    return known[precision]
