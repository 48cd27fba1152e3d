"""Probes of expression: what a generator draws when lips part and lids close.

Fine-tuning sees few pictures and forgets what they do not show; what a probe's answer was before
is held while it trains, and measured (after "Learning without Forgetting", arXiv:1606.09282).

Shapes: P pairs of a probe, S pixels along a side, c cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thvideo.landmarks import schema
from thvideo.landmarks.plausible import Motions, moved_faces
from thvideo.shapes import F32Array, F64Array
from thvideo.training.batch import Batch

#: Draws a batch: `[B, 3, S, S]` in -1..1.
DrawImages = Callable[[Batch], Tensor]

#: Makes a batch of what shall be drawn of one picture, from landmarks `[B, 70, 2]`.
Ask = Callable[[F32Array], Batch]

#: Answers are compared at this share of the side: fine texture may change, the motion may not.
_BLUR = 1 / 64
#: An answer fainter than this, in -1..1, is hardly seen: that it fades loses little.
_FAINT = 0.05

_MOUTH, _EYES = (schema.OUTER_LIP,), (schema.RIGHT_EYE, schema.LEFT_EYE)


@dataclass(frozen=True)
class Probe:
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

    def lost(self, draw: DrawImages, pair: int) -> Tensor:
        """Return how far a generator's answer to one pair is from the first: a loss."""
        part = slice(pair % len(self.mask), pair % len(self.mask) + 1)
        one = Probe(
            self.before.part(part), self.after.part(part), self.mask[part], self.answer[part]
        )
        cells = one.mask.mean() * one.answer.shape[-1] ** 2
        change = (_answer(one, draw) - one.answer).abs().sum(dim=(2, 3)).mean()
        return change / cells.clamp(min=1.0)


def mouth_probe(
    face: F32Array, yaws_deg: F64Array, gaps: F64Array, ask: Ask, draw: DrawImages
) -> Probe:
    """Part the lips of a picture.

    Args:
        face: `[70, 2]` its landmarks.
        yaws_deg: `[P]` how far the head of each pair is turned from the picture's pose.
        gaps: `[P]` how far its lips part, in outer eye distances.
        ask: Asks for frames of the picture.
        draw: The feed-forward generator.
    """
    still = _turned(yaws_deg)
    motions = (replace(still, gap=0 * gaps), replace(still, gap=gaps))
    return _probe(face, motions, _MOUTH, ask, draw)


def eyes_probe(face: F32Array, yaws_deg: F64Array, ask: Ask, draw: DrawImages) -> Probe:
    """Open the eyes of a picture from closed lids; arguments are those of `mouth_probe`."""
    still = _turned(yaws_deg)
    return _probe(face, (replace(still, opening=0 * yaws_deg), still), _EYES, ask, draw)


def _turned(yaws_deg: F64Array) -> Motions:
    turned = np.zeros((len(yaws_deg), 3))
    turned[:, 0] = yaws_deg
    return replace(Motions.still(len(yaws_deg)), turn_deg=turned)


def _probe(
    face: F32Array,
    motions: tuple[Motions, Motions],
    parts: tuple[slice, ...],
    ask: Ask,
    draw: DrawImages,
) -> Probe:
    faces = [moved_faces(face, motion).astype(np.float32) for motion in motions]
    before, after = (ask(each) for each in faces)
    masks = [_hulls(each, parts, before.target.shape[-1]) for each in faces[1]]
    mask = torch.from_numpy(np.stack(masks)[:, None]).to(before.target.device)
    probe = Probe(before, after, mask, torch.empty(0))
    with torch.no_grad():
        return replace(probe, answer=_answer(probe, draw))


def _hulls(face: F32Array, parts: tuple[slice, ...], size_px: int) -> F32Array:
    mask = np.zeros((size_px, size_px), np.float32)
    for part in parts:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(face[part]).astype(np.int32)), 1.0)
    return mask


def _answer(probe: Probe, draw: DrawImages) -> Tensor:
    """What a motion changes where it shows, without fine texture."""
    changed = (draw(probe.after).float() - draw(probe.before).float()) * probe.mask
    cells = max(1, round(changed.shape[-1] * _BLUR))
    return functional.avg_pool2d(changed, cells)
