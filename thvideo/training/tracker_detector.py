"""Training of the face detector on pictures composed from labelled faces and backgrounds."""

import copy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from thvideo.models.detector import STRIDE_PX, DetectorNet, pick_peaks
from thvideo.training.timed_run import Batch, RunOptions, Seen, TimedRun, prefetched
from thvideo.training.tracker_data import (
    FaceSampler,
    read_clips,
    read_pictures,
    read_portraits,
)
from thvideo.training.tracker_scenes import MAX_FACES, Scene, SceneMaker


def batch_maker(scenes: SceneMaker, size: int) -> Callable[[], Batch]:
    """A function that makes a batch: `pictures` uint8 `[B, 3, S, S]`, `boxes` `[B, N, 4]`."""

    def make() -> Batch:
        drawn = [scenes.scene() for _ in range(size)]
        boxes = torch.full((size, MAX_FACES, 4), float("nan"))
        for index, scene in enumerate(drawn):
            boxes[index, : len(scene.boxes)] = torch.from_numpy(scene.boxes)
        pictures = torch.from_numpy(np.stack([scene.picture for scene in drawn]))
        return {"pictures": pictures.permute(0, 3, 1, 2), "boxes": boxes}

    return make


def centre_targets(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Bumps around box centres, and which box each cell belongs to.

    Args:
        boxes: `[B, N, 4]` pixels, NaN rows for none.
        height: cells.
        width: cells.

    Returns:
        Heat `[B, h, w]`, exactly 1 at the cell of each centre, and the index of the nearest
        bump `[B, h, w]`.
    """
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2 + 0.5) / STRIDE_PX - 0.5
    centre = centre.round()
    side = (boxes[..., 2:] - boxes[..., :2]).amax(-1) / STRIDE_PX
    sigma = (0.08 * side).clamp(min=0.55)[..., None, None]
    rows = torch.arange(height, dtype=torch.float32)[:, None]
    columns = torch.arange(width, dtype=torch.float32)
    off_x = columns - centre[..., 0, None, None].clamp(0, width - 1)
    off_y = rows - centre[..., 1, None, None].clamp(0, height - 1)
    bumps = torch.exp(-(off_x.square() + off_y.square()) / (2 * sigma.square()))
    heat, owner = bumps.nan_to_num(0.0).max(dim=1)
    return heat, owner


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU of matching boxes `[N, 4]` (arXiv:1902.09630), in -1..1."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (first[:, 2:] - first[:, :2]).prod(-1) + (second[:, 2:] - second[:, :2]).prod(-1)
    union = area - shared
    hull_low = torch.minimum(first[:, :2], second[:, :2])
    hull_high = torch.maximum(first[:, 2:], second[:, 2:])
    hull = (hull_high - hull_low).prod(-1)
    return shared / union - (hull - union) / hull


def detector_loss(net: Seen, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
    """Penalty-reduced focal loss of the centres (Eq. 1 of arXiv:1904.07850) and GIoU of boxes."""
    pictures = batch["pictures"].float() / 255
    logits, boxes = net(pictures)
    logits = logits.float().clamp(-12, 12)
    heat, owner = centre_targets(batch["boxes"], *logits.shape[1:])
    score = logits.sigmoid()
    centre = heat > 0.999
    hit = -(1 - score).square() * nn.functional.logsigmoid(logits) * centre
    away = (1 - heat) ** 4 * ~centre
    miss = -score.square() * nn.functional.logsigmoid(-logits) * away
    n_faces = float(batch["boxes"][..., 0].isfinite().sum().clamp(min=1))
    found = (hit.sum() + miss.sum()) / n_faces
    near = heat > 0.4
    wanted = batch["boxes"].take_along_dim(owner.flatten(1)[..., None], 1).view_as(boxes)[near]
    overlap = giou(boxes.float()[near], wanted)
    weight = heat[near]
    fit = ((1 - overlap) * weight).sum() / weight.sum().clamp(min=1)
    stats = {"centres": float(found.detach()), "giou": float(overlap.detach().mean())}
    return found + 2.0 * fit, stats


def evaluator(scenes: list[Scene], threshold: float) -> Callable[[nn.Module], dict[str, float]]:
    """A function that measures recall, false finds a picture and IoU on fixed scenes."""
    pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes]))
    pictures = pictures.permute(0, 3, 1, 2)

    def evaluate(net: nn.Module) -> dict[str, float]:
        net.eval()
        n_faces = n_found = n_false = 0
        overlaps: list[float] = []
        with torch.inference_mode():
            found: list[Tensor] = []
            for start in range(0, len(scenes), 32):
                logits, boxes = net(pictures[start : start + 32].float() / 255)
                found += pick_peaks(logits, boxes, threshold)
        for scene, peaks in zip(scenes, found, strict=True):
            truth = torch.from_numpy(scene.boxes)
            n_faces += len(truth)
            matched = torch.zeros(len(peaks), dtype=torch.bool)
            for box in truth:
                values = giou(peaks[:, :4], box.expand(len(peaks), 4))
                if len(values) and float(values.max()) > 0.4:
                    n_found += 1
                    overlaps.append(float(values.max()))
                matched |= values > 0.3
            n_false += int((~matched).sum())
        return {
            "recall": n_found / max(n_faces, 1),
            "false_per_picture": n_false / len(scenes),
            "giou": float(np.mean(overlaps)) if overlaps else 0.0,
        }

    return evaluate


def train_detector(
    data: Path,
    folder: Path,
    options: RunOptions,
    *,
    batch_size: int = 32,
    first_weights: Path | None = None,
    empty_pictures: Path | None = None,
) -> None:
    """Train, or go on with, the face detector.

    Args:
        data: folder in the format of `tracker_data`.
        folder: gets checkpoints and metrics.
        options: how long and how fast.
        batch_size: pictures a step.
        first_weights: weights of an earlier run to begin with.
        empty_pictures: folder of pictures without faces, for backgrounds.
    """
    torch.manual_seed(options.seed)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    net = DetectorNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = TimedRun(net, copy.deepcopy(net).eval(), folder, options)
    if not run.resume() and first_weights is not None:
        run.start_from(first_weights)
    empty = read_pictures(empty_pictures) if empty_pictures is not None else []
    sampler = FaceSampler(read_clips(data, "train", 12), read_portraits(data, "train"), 0.55)
    held_out = FaceSampler(read_clips(data, "val", 40), read_portraits(data, "val"), 0.6)
    checks = SceneMaker(held_out, empty[::10], np.random.default_rng(1))
    measure = evaluator([checks.scene() for _ in range(192)], 0.4)
    scenes = SceneMaker(sampler, empty, np.random.default_rng([options.seed, run.step]))
    run.fit(prefetched(batch_maker(scenes, batch_size)), detector_loss, measure)
