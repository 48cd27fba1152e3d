"""When fine-tuning has gained enough: identity gained against expression lost.

Too few steps leave an identity gap, too many freeze the face. Both are measured: how far drawn
pictures are from true ones that are never trained on, and how much of the feed-forward
generator's answer to an opening mouth and to closing eyes is left.

Shapes: P probes of one kind, S pixels along a side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thvideo.landmarks import schema
from thvideo.landmarks.plausible import Motions, moved_faces
from thvideo.models.perceptual import PerceptualNet, content_loss
from thvideo.shapes import F32Array
from thvideo.training.batch import Batch, as_signed
from thvideo.training.losses import masked_l1
from thvideo.training.metrics import ssim

#: Draws a batch: `[B, 3, S, S]` in -1..1.
DrawImages = Callable[[Batch], Tensor]

#: Probes look this way, as seen from the picture's own pose: yaw in degrees.
_YAWS_DEG = (-8.0, 0.0, 8.0)
#: A mouth that is wide open while talking, in outer eye distances.
_OPEN = 0.25
#: Answers are compared at this share of the side: fine texture may change, the motion may not.
_BLUR = 1 / 64
#: An answer fainter than this, in -1..1, is hardly seen: that it fades loses little.
_FAINT = 0.05
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


@dataclass(frozen=True)
class _Probe:
    """Pairs of frames that differ in one motion.

    Args:
        before: P frames without it.
        after: P frames with it.
        mask: `[P, 1, S, S]`, 1 where the motion shows.
        answer: `[P, 3, c, c]` what it changes in the feed-forward generator's pictures.
    """

    before: Batch
    after: Batch
    mask: Tensor
    answer: Tensor

    def kept(self, draw: DrawImages) -> float:
        """Return how much of the first answer a generator still gives: 1 is all, 0 none."""
        now = _answer(self, draw)
        found, wanted = (now * self.answer).sum(), self.answer.square().sum()
        faint = _FAINT**2 * self.mask.sum() * self.answer.numel() / self.mask.numel()
        return float((found + faint) / (wanted + faint))


class Watch:
    """Measures a generator while it learns a person.

    Args:
        held_out: Pairs that are never trained on.
        face: ``[70, 2]`` landmarks of the picture that probes are made from.
        ask: Makes a batch of what shall be drawn of that picture, from landmarks ``[B, 70, 2]``.
        draw: The feed-forward generator.
        perceptual: Measures distance; without it, differences of pixels and structure do.
    """

    def __init__(
        self,
        held_out: Batch,
        face: F32Array,
        ask: Callable[[F32Array], Batch],
        draw: DrawImages,
        perceptual: PerceptualNet | None,
    ) -> None:
        self._held_out, self._perceptual = held_out, perceptual
        open_eyes = _still()
        closed, opened = (
            replace(open_eyes, gap=np.full(len(_YAWS_DEG), gap)) for gap in (0.0, _OPEN)
        )
        blinking = replace(open_eyes, opening=np.zeros(len(_YAWS_DEG)))
        mouth, eyes = (schema.OUTER_LIP,), (schema.RIGHT_EYE, schema.LEFT_EYE)
        probes = []
        for motions, parts in (((closed, opened), mouth), ((blinking, open_eyes), eyes)):
            faces = [moved_faces(face, motion).astype(np.float32) for motion in motions]
            before, after = (ask(each) for each in faces)
            masks = [_hulls(each, parts, before.target.shape[-1]) for each in faces[1]]
            mask = torch.from_numpy(np.stack(masks)[:, None]).to(before.target.device)
            probe = _Probe(before, after, mask, torch.empty(0))
            with torch.no_grad():
                probes.append(replace(probe, answer=_answer(probe, draw)))
        self._mouth, self._eyes = probes

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


def _still() -> Motions:
    turned = np.zeros((len(_YAWS_DEG), 3))
    turned[:, 0] = _YAWS_DEG
    return replace(Motions.still(len(_YAWS_DEG)), turn_deg=turned)


def _hulls(face: F32Array, parts: tuple[slice, ...], size_px: int) -> F32Array:
    mask = np.zeros((size_px, size_px), np.float32)
    for part in parts:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(face[part]).astype(np.int32)), 1.0)
    return mask


def _answer(probe: _Probe, draw: DrawImages) -> Tensor:
    """What a motion changes where it shows, without fine texture."""
    changed = (draw(probe.after).float() - draw(probe.before).float()) * probe.mask
    cells = max(1, round(changed.shape[-1] * _BLUR))
    return functional.avg_pool2d(changed, cells)
