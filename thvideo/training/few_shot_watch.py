"""When fine-tuning has gained enough: identity gained against expression lost.

Too few steps leave an identity gap, too many freeze the face. Both are measured: how far drawn
pictures are from true ones that are never trained on, and how much of the feed-forward
generator's answer to an opening mouth and to closing eyes is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from thvideo.models.perceptual import PerceptualNet, content_loss
from thvideo.models.shown import as_signed
from thvideo.shapes import F32Array
from thvideo.training.batch import Batch
from thvideo.training.few_shot_probe import Ask, DrawImages, eyes_probe, mouth_probe
from thvideo.training.losses import masked_l1
from thvideo.training.metrics import ssim

#: Probes look this way, as seen from the picture's own pose: yaw in degrees.
_YAWS_DEG = (-8.0, 0.0, 8.0)
#: A mouth that is wide open while talking, in outer eye distances.
_OPEN = 0.25
#: Pictures drawn at once.
_BATCH = 8


@dataclass(frozen=True)
class Point:
    """One measurement.

    Args:
        step: After how many steps.
        distance: From held-out true pictures; the smaller the better.
        mouth: Share of the feed-forward answer to an opening mouth that is left; 1 is all.
        eyes: The same of closing eyes.
    """

    step: int
    distance: float
    mouth: float
    eyes: float

    @property
    def kept(self) -> float:
        """The smaller share of expression."""
        return min(self.mouth, self.eyes)


@dataclass(frozen=True)
class StoppingRule:
    """Decides from measurements which step is the best, and when no better one will come.

    Args:
        least_kept: A step that keeps less of the expression than this is no candidate.
        least_gain: A step is better when its distance is smaller by this share.
        patience: After so many measurements without a better one it ends.
    """

    least_kept: float = 0.9
    least_gain: float = 0.002
    patience: int = 3

    def best(self, points: Sequence[Point]) -> int:
        """Return the index of the best measurement; the first, of no step, always counts."""
        best = 0
        for index, point in enumerate(points):
            is_nearer = point.distance < (1 - self.least_gain) * points[best].distance
            if is_nearer and point.kept >= self.least_kept:
                best = index
        return best

    def has_ended(self, points: Sequence[Point]) -> bool:
        """Whether the last measurements brought nothing better."""
        return len(points) - 1 - self.best(points) >= self.patience


class Watch:
    """Measures a generator while it learns a person.

    Args:
        held_out: Pairs that are never trained on.
        face: ``[70, 2]`` landmarks of the picture that probes are made from.
        ask: Asks for frames of that picture.
        draw: The feed-forward generator.
        perceptual: Measures distance; without it, differences of pixels and structure do.
    """

    def __init__(
        self,
        held_out: Batch,
        face: F32Array,
        ask: Ask,
        draw: DrawImages,
        perceptual: PerceptualNet | None,
    ) -> None:
        self._held_out, self._perceptual = held_out, perceptual
        yaws = np.array(_YAWS_DEG)
        self._mouth = mouth_probe(face, yaws, np.full(len(yaws), _OPEN), ask, draw)
        self._eyes = eyes_probe(face, yaws, ask, draw)

    @torch.no_grad()
    def measure(self, step: int, draw: DrawImages) -> Point:
        """Measure a generator after some steps."""
        return Point(
            step=step,
            distance=self._distance(draw),
            mouth=self._mouth.kept(draw),
            eyes=self._eyes.kept(draw),
        )

    def _distance(self, draw: DrawImages) -> float:
        batch, total = self._held_out, 0.0
        for start in range(0, len(batch.video), _BATCH):
            part = batch.part(slice(start, start + _BATCH))
            images, truth = draw(part).float().clamp(-1, 1), as_signed(part.target)
            mask = part.mask.float() / 255
            if self._perceptual is not None:
                distance = content_loss(self._perceptual, images, truth, mask)
            else:
                unlike = 1 - ssim(images, truth, data_range=2.0, mask=mask).nanmean()
                distance = masked_l1(images, truth, mask) + unlike
            total += float(distance) * len(part.video) / len(batch.video)
        return total
