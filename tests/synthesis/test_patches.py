"""Foveal networks at work: what they add lands on mouth and eyes, and nowhere else."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.synthesis.test_neural import CPU, SIZE_PX, generator_of, noise, posed
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_FOVEAL
from thvideo.landmarks import schema
from thvideo.models.shown import DrawnPatches
from thvideo.models.swift import SwiftGenerator
from thvideo.synthesis.networks import DrawingNetworks, load_networks
from thvideo.synthesis.patches import PatchPainter

NO_CAST = np.ones(3, np.float32)


@pytest.fixture
def networks(tmp_path: Path) -> DrawingNetworks:
    path = write_tiny(tmp_path / "foveal.safetensors", SMALL_FOVEAL, spread=0.05)
    return load_networks(path, "swift", CPU)


def awake(networks: DrawingNetworks) -> DrawingNetworks:
    assert isinstance(networks.generator, SwiftGenerator)
    fovea = networks.generator.fovea
    assert fovea is not None
    torch.manual_seed(5)
    for net in (fovea.mouth, fovea.eyes):
        net.last.weight.data.normal_(0, 0.1)
    return networks


def painted(painter: PatchPainter, frames: np.ndarray, points: np.ndarray, by: tuple) -> np.ndarray:
    """Frames to which so much was added in mouths, right and left eyes, in -1..1."""
    shown, result = painter.shown(frames, points), frames.copy()
    mouth, right, left = by
    of_eyes = torch.tensor([right, left] * len(frames))[:, None, None, None]
    drawn = DrawnPatches(shown.mouth.base + mouth, shown.eyes.base + of_eyes)
    painter.paint(result, points, shown, drawn)
    return result.astype(int) - frames


@pytest.mark.parametrize(
    "by, part",
    [((0.2, 0.0, 0.0), schema.OUTER_LIP), ((0.0, 0.2, 0.0), schema.RIGHT_EYE),
     ((0.0, 0.0, 0.2), schema.LEFT_EYE)],
)  # fmt: skip
@pytest.mark.parametrize("size_px", [96, 160, 640])
def test_what_is_added_to_a_part_lands_there(by: tuple, part: slice, size_px: int) -> None:
    points = posed(0, 20, size_px=size_px)
    frames = np.full((2, size_px, size_px, 3), 100, np.uint8)
    painter = PatchPainter(frames[:1], points[:1], NO_CAST, CPU)
    added = painted(painter, frames, points, by)
    for frame, face in zip(added, points, strict=True):
        x, y = face[part].mean(axis=0).round().astype(int)
        # A patch is not faded out here: it holds what was added to its edge.
        assert frame[y, x] == pytest.approx(0.2 * 127.5, abs=1)
        others = [
            face[p].mean(axis=0).round().astype(int)
            for p in (schema.OUTER_LIP, schema.RIGHT_EYE, schema.LEFT_EYE)
            if p != part
        ]
        assert all(not frame[v, u].any() for u, v in others)
        assert not frame[[0, -1]].any() and not frame[:, [0, -1]].any()


def test_what_is_added_gets_the_cast_back() -> None:
    points, frames = posed(0), np.full((1, SIZE_PX, SIZE_PX, 3), 100, np.uint8)
    cast = np.array([0.8, 1.0, 1.6], np.float32)
    painter = PatchPainter(frames, points, cast, CPU)
    added = painted(painter, frames, points, (0.2, 0.0, 0.0))
    x, y = points[0, schema.OUTER_LIP].mean(axis=0).round().astype(int)
    assert added[0, y, x] == pytest.approx(25.5 / cast, abs=1)
    seen = painter.shown(frames, points).mouth.base[0, :, 40, 48]
    assert seen.numpy() == pytest.approx(100 * cast / 127.5 - 1, abs=0.01)


def test_fresh_foveal_networks_change_no_pixel_and_others_mouth_and_eyes_alone(
    networks: DrawingNetworks,
) -> None:
    crops, points, wanted = noise(), posed(0), posed(10)
    before = generator_of(networks, crops, points).generate(wanted)
    assert isinstance(networks.generator, SwiftGenerator)
    fovea, networks.generator.fovea = networks.generator.fovea, None
    without = generator_of(networks, crops, points).generate(wanted)
    networks.generator.fovea = fovea
    assert np.array_equal(before, without)
    after = generator_of(awake(networks), crops, points).generate(wanted)
    changed = (after != before).any(axis=(0, 3))
    for part in (schema.INNER_LIP, schema.RIGHT_EYE, schema.LEFT_EYE):
        x, y = wanted[0, part].mean(axis=0).round().astype(int)
        assert changed[y - 1 : y + 2, x - 1 : x + 2].any()
    near = np.zeros(changed.shape, np.uint8)
    for x, y in wanted[0, [*range(36, 68)]].round().astype(int):
        cv2.circle(near, (int(x), int(y)), SIZE_PX // 4, 1, -1)
    assert not changed[near == 0].any()


def test_batches_do_not_change_a_frame(networks: DrawingNetworks) -> None:
    crops, points = noise(), posed(0)
    generator = generator_of(awake(networks), crops, points)
    wanted = posed(-10, 0, 10, 20)
    together = generator.generate(wanted).astype(int)
    alone = np.concatenate([generator.generate(wanted[i : i + 1]) for i in range(4)])
    # Convolutions of other batches round otherwise.
    assert np.abs(together - alone).max() <= 1


def test_teeth_come_from_the_source_that_shows_them() -> None:
    points = np.concatenate([posed(0), posed(0)])
    points[1, [65, 66, 67, 55, 56, 57, 58, 59], 1] += 8
    crops = np.full((2, SIZE_PX, SIZE_PX, 3), 60, np.uint8)
    crops[1] = 220
    own = PatchPainter(crops, points, NO_CAST, CPU).shown(crops[:1], points[:1]).mouth.own
    assert own.mean().item() == pytest.approx(220 / 127.5 - 1, abs=0.01)
