"""A small dataset of drawn faces whose mouths open and whose heads move, and small networks."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tests.landmarks.made_faces import unit_face
from thvideo.landmarks import schema
from thvideo.models.generator import PaperOptions
from thvideo.models.presets import DiscriminatorOptions, ModelOptions
from thvideo.models.swift import SwiftOptions
from thvideo.training.change import EpisodeOptions
from thvideo.training.dataset import COLUMNS, POINT_UNIT_PX
from thvideo.training.losses import LossWeights
from thvideo.training.meta_options import META_PRESETS, MetaOptions

SIZE_PX, N_FRAMES = 64, 10

SMALL_SWIFT = ModelOptions(
    "swift",
    SwiftOptions(
        size_px=SIZE_PX,
        embedding=16,
        widths=(8, 12, 16),
        n_blocks=1,
        flow_px=32,
        flow_widths=(8, 8, 8),
        embedder_widths=(8, 8, 12, 16),
    ),
    DiscriminatorOptions(
        (8, 12, 16), attention_stride=None, haar=True, gain=2.0, by_cell=True, column_start=0.0
    ),
)
#: The same with foveal networks.
SMALL_FOVEAL = replace(
    SMALL_SWIFT,
    networks=replace(SMALL_SWIFT.networks, foveal_widths=(8, 8, 12)),
    discriminator=replace(SMALL_SWIFT.discriminator, patch_widths=(8, 8)),
)
SMALL_PAPER = ModelOptions(
    "paper",
    PaperOptions(
        size_px=SIZE_PX, embedder_widths=(8, 8, 16), widths=(8, 8), n_same=1, attention=False
    ),
    DiscriminatorOptions((8, 8, 16), attention_stride=None),
)


def drawn_points(person: int, clip: int, frame: int) -> np.ndarray:
    """Landmarks ``[70, 2]`` in pixels: a person's own proportions, moved and opened by time."""
    rng = np.random.default_rng([person, clip])
    face = unit_face() * (1 + 0.06 * np.random.default_rng(person).normal(size=2))
    phase = 2 * np.pi * frame / N_FRAMES + rng.uniform(0, 6)
    opening = 0.1 * (1 + np.sin(phase))
    lower = [*range(55, 60), *range(65, 68)]
    face[lower, 1] += opening
    face[6:11, 1] += 0.6 * opening
    turn = 0.12 * np.sin(0.5 * phase + person)
    face = face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = SIZE_PX / 2 + np.array([2 * np.cos(phase), -1 + 2 * np.sin(phase)])
    return face * 0.66 * SIZE_PX + centre


def drawn_face(person: int, points: np.ndarray) -> np.ndarray:
    """A picture ``[S, S, 3]`` RGB of a person with these landmarks."""
    rng = np.random.default_rng([7, person])
    wall, skin, lips = rng.integers(30, 120, 3), rng.integers(140, 230, 3), rng.integers(90, 200, 3)
    picture = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    picture[:] = wall

    def fill(outline: np.ndarray, colour: np.ndarray | tuple[int, int, int]) -> None:
        fixed = np.round(outline * 16).astype(np.int32)
        cv2.fillPoly(picture, [fixed], [int(c) for c in colour], cv2.LINE_AA, 4)

    top = points[[26, 24, 19, 17]] - (0, 0.12 * SIZE_PX)
    fill(np.concatenate([points[schema.JAW], top]), skin)
    for eye, iris in (
        (schema.RIGHT_EYE, schema.RIGHT_IRIS),
        (schema.LEFT_EYE, schema.LEFT_IRIS),
    ):
        fill(points[eye], (250, 250, 250))
        x, y = np.round(points[iris] * 16).astype(int)
        cv2.circle(picture, (int(x), int(y)), 20, (20, 30, 60), -1, cv2.LINE_AA, 4)
    # The mouth brightens as it opens: no warp of another frame can show that.
    opening = np.linalg.norm(points[66] - points[62]) / np.linalg.norm(points[36] - points[45])
    fill(points[schema.OUTER_LIP], lips)
    fill(points[schema.INNER_LIP], (np.array([40, 5, 10]) + 600 * opening).clip(0, 255))
    nose = np.round(points[[27, 30, 33]] * 16).astype(np.int32)
    cv2.polylines(picture, [nose], False, [int(c) for c in skin * 0.7], 1, cv2.LINE_AA, 4)
    return picture


def write_drawn_faces(root: Path, n_train: int = 4, n_val: int = 2) -> Path:
    """Write a dataset: two clips of each person."""
    lines = ["\t".join(COLUMNS)]
    # Lossless: what a codec loses at 64 pixels would be most of what a network gets wrong.
    codec = cv2.VideoWriter.fourcc(*"png ")
    for person in range(n_train + n_val):
        split = "train" if person < n_train else "val"
        folder = root / "clips" / f"p{person}"
        folder.mkdir(parents=True)
        for clip in range(2):
            points = np.stack([drawn_points(person, clip, frame) for frame in range(N_FRAMES)])
            path = str(folder / f"{clip}.mp4")
            writer = cv2.VideoWriter(path, codec, 25, (SIZE_PX, SIZE_PX))
            for face in points:
                writer.write(cv2.cvtColor(drawn_face(person, face), cv2.COLOR_RGB2BGR))
            writer.release()
            labels = np.round(points / POINT_UNIT_PX).astype(np.int16)
            np.savez(folder / f"{clip}.npz", points=labels, valid=np.int16([0, 0, 64, 64]))
            lines.append(f"p{person}/{clip}\tperson {person}\t{split}\treal\t{N_FRAMES}\t64\tdrawn")
    (root / "clips.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def small_options(root: Path, preset: str = "swift", **changes: object) -> MetaOptions:
    """Options of a short run on drawn faces, without perceptual networks."""
    losses = LossWeights(matching=1.0, l1=10.0, region=10.0, warp=5.0)
    base = replace(
        META_PRESETS[preset],
        data=root,
        sizes=((SIZE_PX, 0),),
        batch_size=4,
        losses=losses,
        adversarial_from=10**6,
        lr=3e-3,
        lr_d=1e-3,
        warmup=10,
        ema=0.95,
        val_episodes=8,
    )
    return replace(base, **changes)


#: Options with which a run on drawn faces learns within seconds.
QUICK = {
    "episodes": EpisodeOptions(
        fixed_shots=1, turn_deg=0.0, zoom=(1.0, 1.0), colour=0.0, noise=0.0, any_source=1.0
    ),
    "lr": 6e-3,
    "betas": (0.5, 0.9),
    "warmup": 5,
    "ema": 0.9,
}

#: All terms that need no perceptual network, from the third step on; without drafts, whose
#: making takes most of the time of so small a run.
ADVERSARIAL = {
    "episodes": EpisodeOptions(with_drafts=False),
    "losses": LossWeights(matching=1.0, l1=10.0, region=10.0, warp=5.0),
    "adversarial_from": 2,
    "batch_size": 2,
    "val_episodes": 2,
}
