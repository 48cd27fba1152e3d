"""Training of the landmark network on labelled clips and portraits."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.landmarks.face_crop import apply_affine, crop_matrix, invert_affine, warp_crop
from thvideo.landmarks.schema import FLIP
from thvideo.landmarks.tracker import box_from_detection, box_from_points
from thvideo.models.landmark_net import (
    CELL_PX,
    CROP_PX,
    N_POINTS,
    LandmarkNet,
    cells_to_px,
    soft_argmax,
)
from thvideo.shapes import F32Array, U8Array
from thvideo.training.spoil import occlude, spoil, texture
from thvideo.training.timed_run import Batch, RunOptions, Seen, TimedRun, prefetched
from thvideo.training.tracker_data import (
    LID_PAIRS,
    Face,
    FaceSampler,
    read_clips,
    read_pictures,
    read_portraits,
)

NEGATIVE_SHARE = 0.16
TARGET_SIGMA_CELLS = 1.0
# A label farther off than this (of the outer-eye distance) late in training is a wrong label.
WRONG_LABEL = 0.11
LIP_PAIRS = ((61, 67), (62, 66), (63, 65))
# How much the opening of lids and lips counts beside the mean distance of all points.
OPENING_WEIGHT = 0.6
_BORDERS = (
    cv2.BORDER_REPLICATE,
    cv2.BORDER_REPLICATE,
    cv2.BORDER_CONSTANT,
    cv2.BORDER_REFLECT_101,
)


@dataclass(frozen=True)
class Crop:
    """A training crop; `points` are NaN where there is no face."""

    picture: U8Array
    points: F32Array


def outer_eye_px(points: Tensor) -> Tensor:
    """Distance of the outer eye corners, `[B]`, of points `[B, 70, 2]`."""
    across: Tensor = torch.linalg.vector_norm(points[:, 36] - points[:, 45], dim=1)
    return across


def draw_box(points: F32Array, rng: np.random.Generator) -> F32Array:
    """A box as the tracker will meet it: half nearly aligned, half as rough as a detection."""
    if rng.random() < 0.55:
        box = box_from_points(points[None])[0]
        spread_centre, spread_log, spread_roll = 0.04, 0.08, np.radians(8)
    else:
        corners = np.concatenate([points[:68].min(0), points[:68].max(0)])
        box = box_from_detection(corners)
        spread_centre, spread_log, spread_roll = 0.12, 0.25, np.radians(10)
    shift = np.clip(rng.normal(0, 0.6, 2), -1.2, 1.2) * spread_centre * box[2]
    stretch = np.exp(np.clip(rng.normal(0, 0.6), -1.2, 1.2) * spread_log)
    turn = np.clip(rng.normal(0, 0.6), -1.2, 1.2) * spread_roll
    moved = [box[0] + shift[0], box[1] + shift[1], box[2] * stretch, box[3] + turn]
    return np.array(moved, np.float32)


def turned_face(face: Face, rng: np.random.Generator) -> tuple[F32Array, F32Array]:
    """Turn a face in its picture by up to 45 degrees and perhaps mirror it.

    Returns:
        The `[2, 3]` map of the picture, and the points `[70, 2]` after it.
    """
    centre = face.points[:68].mean(0)
    angle = rng.uniform(-45, 45) if rng.random() < 0.5 else rng.normal(0, 10)
    matrix = cv2.getRotationMatrix2D(centre.tolist(), float(angle), 1.0)
    full = np.vstack([matrix, [0, 0, 1]])
    # Faces are a little longer or wider than their labels know.
    squeeze = np.exp(rng.normal(0, 0.04))
    full = np.diag([squeeze, 1 / squeeze, 1.0]) @ full
    points = face.points
    if rng.random() < 0.5:
        full = np.diag([-1.0, 1.0, 1.0]) @ full
        points = points[FLIP]
    matrix = full[:2].astype(np.float32)
    return matrix, apply_affine(matrix, points)


def positive_crop(face: Face, rng: np.random.Generator) -> Crop:
    """A spoiled crop of a face with its points in crop pixels."""
    turn, points = turned_face(face, rng)
    cut = crop_matrix(draw_box(points, rng), CROP_PX)
    matrix = _chain(cut, turn)
    border = _BORDERS[rng.integers(len(_BORDERS))]
    picture = warp_crop(face.picture, matrix, CROP_PX, border)
    if rng.random() < 0.3:
        picture = occlude(picture, rng)
    return Crop(spoil(picture, rng), apply_affine(cut, points))


def negative_crop(face: Face, empty: list[U8Array], rng: np.random.Generator) -> Crop:
    """A crop that must not be taken for a face."""
    kind = rng.random()
    if kind < 0.6 and empty:
        picture = _empty_crop(empty[rng.integers(len(empty))], rng)
    elif kind < 0.7:
        picture = texture(CROP_PX, CROP_PX, rng)
    elif kind < 0.88:
        box = box_from_points(face.points[None])[0].copy()
        angle = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.7:
            box[:2] += np.array([np.cos(angle), np.sin(angle)]) * box[2] * rng.uniform(1.0, 1.6)
            box[2] *= rng.uniform(0.5, 1.1)
        else:
            box[:2] += np.array([np.cos(angle), np.sin(angle)]) * box[2] * 0.4
            box[2] *= rng.uniform(0.15, 0.35)
        box[3] = rng.uniform(-np.pi, np.pi)
        picture = warp_crop(face.picture, crop_matrix(box, CROP_PX), CROP_PX)
    else:
        matrix = crop_matrix(box_from_points(face.points[None])[0], CROP_PX)
        whole = warp_crop(face.picture, matrix, CROP_PX)
        side = CROP_PX // 4
        tiles = whole.reshape(4, side, 4, side, 3).swapaxes(1, 2).reshape(16, side, side, 3)
        tiles = tiles[rng.permutation(16)]
        picture = tiles.reshape(4, 4, side, side, 3).swapaxes(1, 2).reshape(whole.shape)
    points = np.full((N_POINTS, 2), np.nan, np.float32)
    return Crop(spoil(np.ascontiguousarray(picture), rng), points)


def _empty_crop(picture: U8Array, rng: np.random.Generator) -> U8Array:
    """A box anywhere in a face-free picture, small ones more often, as a detector errs."""
    height, width = picture.shape[:2]
    side = float(np.exp(rng.uniform(np.log(20), np.log(min(height, width)))))
    centre = rng.uniform((0, 0), (width, height))
    box = np.array([*centre, side, rng.normal(0, 0.2)], np.float32)
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    return warp_crop(picture, crop_matrix(box, CROP_PX), CROP_PX)


def batch_maker(
    sampler: FaceSampler, empty: list[U8Array], size: int, rng: np.random.Generator
) -> Callable[[], Batch]:
    """A function that makes a batch: `crops` uint8 `[B, 3, S, S]` and `points` `[B, 70, 2]`."""

    def make() -> Batch:
        crops = []
        for _ in range(size):
            face = sampler.draw(rng)
            negative = rng.random() < NEGATIVE_SHARE
            crops.append(negative_crop(face, empty, rng) if negative else positive_crop(face, rng))
        pictures = torch.from_numpy(np.stack([crop.picture for crop in crops]))
        return {
            "crops": pictures.permute(0, 3, 1, 2),  # channels last in memory
            "points": torch.from_numpy(np.stack([crop.points for crop in crops])),
        }

    return make


def target_maps(points: Tensor, size: int) -> Tensor:
    """Gaussians that sum to one, `[B, K, S, S]`, around points `[B, K, 2]` in crop pixels."""
    cells = (points + 0.5) / CELL_PX - 0.5
    cells = cells.clamp(0, size - 1)
    steps = torch.arange(size, dtype=torch.float32, device=points.device)
    gap = (steps - cells[..., None]) / TARGET_SIGMA_CELLS  # [B, K, 2, S]
    bump = torch.exp(-0.5 * gap.square())
    bump = bump / bump.sum(-1, keepdim=True)
    return bump[:, :, 1, :, None] * bump[:, :, 0, None, :]


def landmark_loss(net: Seen, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the maps, robust distance of the points and face or no face.

    Samples whose error stays above `WRONG_LABEL` after two fifths of the run hardly count.
    """
    crops = batch["crops"].float() / 255
    maps, face = net(crops)
    maps, face = maps.float(), face.float()
    points = batch["points"]
    there = points[:, 0, 0].isfinite()
    points, maps = points[there], maps[there]
    found = cells_to_px(soft_argmax(maps))
    off_px = torch.linalg.vector_norm(found - points, dim=-1)  # [B, K]
    inside = ((points > -4) & (points < CROP_PX + 3)).all(-1).float()
    error = off_px.detach().mean(1) / outer_eye_px(points).clamp(min=12.0)
    trust = torch.ones_like(error)
    if progress > 0.4:
        trust = torch.where(error > WRONG_LABEL, 0.1, 1.0)
    trust = trust / trust.sum().clamp(min=1.0)
    targets = target_maps(points, maps.shape[-1])
    surprise = -(targets * maps.flatten(2).log_softmax(-1).view_as(maps)).sum((2, 3))
    distance = torch.sqrt(off_px.square() + 0.25) - 0.5
    per_point = (0.35 * surprise + 0.65 * distance) * inside
    gaps = opening_gaps(found) - opening_gaps(points)
    opening = torch.linalg.vector_norm(gaps, dim=-1).mean(1)
    place = ((per_point.mean(1) + OPENING_WEIGHT * opening) * trust).sum()
    known = functional.binary_cross_entropy_with_logits(face, there.float() * 0.98 + 0.01)
    if not len(points):
        return 0.5 * known, {"face": float(known.detach())}
    stats = {
        "error": float(error.mean()),
        "median": float(error.median()),
        "opening": float(opening.detach().mean()),
        "ce": float(surprise.detach().mean()),
        "face": float(known.detach()),
        "distrusted": float((error > WRONG_LABEL).float().mean()),
    }
    return place + 0.5 * known, stats


def opening_gaps(points: Tensor) -> Tensor:
    """Vectors from lower to upper lids and lips, `[B, P, 2]` of points `[B, 70, 2]`.

    A closed eye moves two points of seventy by three pixels: without a term of its own it is
    lost in the mean.
    """
    upper, lower = zip(*LID_PAIRS, *LIP_PAIRS, strict=True)
    return points[:, list(upper)] - points[:, list(lower)]


def predict(net: nn.Module, crops: U8Array) -> tuple[F32Array, F32Array]:
    """Points `[B, 70, 2]` in crop pixels and face probability `[B]` of crops `[B, S, S, 3]`."""
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), 64):
            chunk = torch.from_numpy(crops[start : start + 64]).permute(0, 3, 1, 2)
            maps, face = net(chunk.float() / 255)
            parts.append((cells_to_px(soft_argmax(maps)), face.sigmoid()))
    points = torch.cat([part[0] for part in parts]).numpy()
    return points, torch.cat([part[1] for part in parts]).numpy()


def two_pass_errors(net: nn.Module, faces: list[Face], seed: int = 0) -> tuple[F32Array, F32Array]:
    """Error of each face over its outer-eye distance after a rough and after a second pass."""
    rng = np.random.default_rng(seed)
    truth = np.stack([face.points for face in faces])
    boxes = []
    for points in truth:
        box = box_from_detection(np.concatenate([points[:68].min(0), points[:68].max(0)]))
        box[:2] += rng.uniform(-0.08, 0.08, 2) * box[2]
        box[2] *= np.exp(rng.uniform(-0.15, 0.15))
        boxes.append(box)
    errors = []
    eyes = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)
    for _ in range(2):
        matrices = [crop_matrix(box, CROP_PX) for box in boxes]
        crops = [
            warp_crop(face.picture, matrix, CROP_PX)
            for face, matrix in zip(faces, matrices, strict=True)
        ]
        found, _ = predict(net, np.stack(crops))
        placed = [
            apply_affine(invert_affine(matrix), points)
            for matrix, points in zip(matrices, found, strict=True)
        ]
        off = np.linalg.norm(np.stack(placed) - truth, axis=-1).mean(1) / eyes
        errors.append(off.astype(np.float32))
        boxes = list(box_from_points(np.stack(placed)))
    return errors[0], errors[1]


def evaluator(clips: list[Face], portraits: list[Face]) -> Callable[[nn.Module], dict[str, float]]:
    """A function that measures a network on held-out clips and portraits, in percent."""

    def evaluate(net: nn.Module) -> dict[str, float]:
        values = {}
        for name, faces in (("clips", clips), ("portraits", portraits)):
            if not faces:
                continue
            rough, fine = two_pass_errors(net, faces)
            values[f"{name}_rough_mean"] = float(rough.mean() * 100)
            values[f"{name}_mean"] = float(fine.mean() * 100)
            values[f"{name}_median"] = float(np.median(fine) * 100)
        return values

    return evaluate


def train_landmarks(
    data: Path,
    folder: Path,
    options: RunOptions,
    *,
    batch_size: int = 64,
    first_weights: Path | None = None,
    empty_pictures: Path | None = None,
) -> None:
    """Train, or go on with, the landmark network.

    Args:
        data: folder in the format of `tracker_data`.
        folder: gets checkpoints and metrics.
        options: how long and how fast.
        batch_size: crops a step.
        first_weights: weights of an earlier run to begin with.
        empty_pictures: folder of pictures without faces, to learn what no face looks like.
    """
    torch.manual_seed(options.seed)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    net = LandmarkNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = TimedRun(net, copy.deepcopy(net).eval(), folder, options)
    if not run.resume() and first_weights is not None:
        run.start_from(first_weights)
    sampler = FaceSampler(
        read_clips(data, "train", 5, keep_blinks=True), read_portraits(data, "train")
    )
    empty = read_pictures(empty_pictures) if empty_pictures is not None else []
    measure = evaluator(read_clips(data, "val", 20), read_portraits(data, "val"))
    rng = np.random.default_rng([options.seed, run.step])
    run.fit(prefetched(batch_maker(sampler, empty, batch_size, rng)), landmark_loss, measure)


def _chain(second: F32Array, first: F32Array) -> F32Array:
    """The map that applies `first`, then `second`."""
    bottom = np.array([[0, 0, 1]], np.float64)
    product = np.vstack([second, bottom]) @ np.vstack([first, bottom])
    return np.asarray(product[:2], dtype=np.float32)
