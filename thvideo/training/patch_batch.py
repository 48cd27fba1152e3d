"""Patches of mouth and eyes of a batch's episodes, for the foveal networks.

Shapes: B episodes, P patches (B mouths, or 2 B eyes), h and w a patch's height and width,
F pixels along a side of the pictures that patches are cut from, S of those that networks see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thvideo.imaging.warp import fetch
from thvideo.landmarks.patches import (
    EYES,
    MOUTH,
    Place,
    cut_patch,
    draw_shapes,
    most_open,
    patch_frames,
)
from thvideo.models.shown import Drawn, Patch, Patches, as_signed
from thvideo.shapes import F32Array, F64Array, U8Array

if TYPE_CHECKING:
    from thvideo.training.batch import Episode

#: Side of the pictures that patches are cut from: the size of the data. Smaller ones are blurred.
FOVEAL_PX = 256

#: How much farther than lips or lids the losses look twice, over a patch's width.
_AROUND = 0.05


@dataclass(frozen=True)
class PatchesOfOne:
    """Patches of one part of the face; pictures are uint8 RGB.

    Args:
        places: ``[P, h, w, 2]`` where their pixels lie in the frame to draw, in -1..1.
        shapes: ``[P, 3, h, w]`` of the frame to draw.
        own: ``[P, 3, h, w]`` from a source.
        own_shapes: ``[P, 3, h, w]`` of the source.
        truth: ``[P, 3, h, w]`` from the frame to draw.
        mask: ``[P, 1, h, w]`` 255 where pixels count.
        region: ``[P, 1, h, w]`` 255 on lips or lids and what is between them.
    """

    places: Tensor
    shapes: Tensor
    own: Tensor
    own_shapes: Tensor
    truth: Tensor
    mask: Tensor
    region: Tensor


@dataclass(frozen=True)
class PatchBatch:
    """Patches of a batch of episodes.

    Args:
        draft: ``[B, 3, F, F]`` uint8 RGB, the drafts at the size that patches are cut from.
        mouth: ``B`` patches.
        eyes: ``2 B`` patches, each episode's right eye, then its left eye mirrored.
    """

    draft: Tensor
    mouth: PatchesOfOne
    eyes: PatchesOfOne

    def each(self, change: Callable[[Tensor], Tensor]) -> "PatchBatch":
        """Return the patches with every tensor changed."""
        mouth, eyes = (
            PatchesOfOne(**{k: change(v) for k, v in vars(one).items()})
            for one in (self.mouth, self.eyes)
        )
        return PatchBatch(change(self.draft), mouth, eyes)

    def part(self, episodes: slice) -> "PatchBatch":
        """Return the patches of some of the episodes."""
        n_batch = len(self.draft)

        def some(tensor: Tensor) -> Tensor:
            return tensor.reshape(n_batch, -1, *tensor.shape[1:])[episodes].flatten(0, 1)

        return self.each(some)

    def shown(self, drawn: Drawn) -> Patches:
        """Return what the foveal networks are shown over what the generator drew.

        Args:
            drawn: The whole pictures, ``[B, 3, S, S]``; no gradient reaches them.
        """
        return Patches(*(self._shown(one, drawn) for one in (self.mouth, self.eyes)))

    def _shown(self, patches: PatchesOfOne, drawn: Drawn) -> Patch:
        assert drawn.flow is not None and drawn.warped is not None
        n_each = len(patches.places) // len(self.draft)

        def of_each(pictures: Tensor) -> Tensor:
            return pictures.detach().float().repeat_interleave(n_each, dim=0)

        # As the product brings them to full size: the draft is fetched once more.
        places = fetch(of_each(drawn.flow).permute(0, 3, 1, 2), patches.places)
        moved = fetch(as_signed(of_each(self.draft)), places.permute(0, 2, 3, 1))
        side_px = self.draft.shape[-1]
        added = functional.grid_sample(
            of_each(drawn.image - drawn.warped),
            # OpenCV's resizing puts the pictures' edges, not their first pixels, on each other.
            patches.places * ((side_px - 1) / side_px),
            padding_mode="border",
            align_corners=False,
        )
        others = (as_signed(one) for one in (patches.shapes, patches.own, patches.own_shapes))
        return Patch((moved + added).clamp(-1, 1), *others)


def patch_batch(episodes: "Sequence[Episode]", drafts: U8Array) -> PatchBatch:
    """Cut the patches of episodes of one size.

    Args:
        episodes: ``B`` episodes with pictures of ``F`` pixels.
        drafts: ``[B, F, F, 3]``.
    """
    return PatchBatch(
        torch.from_numpy(np.ascontiguousarray(drafts.transpose(0, 3, 1, 2))),
        _cut(episodes, (MOUTH,)),
        _cut(episodes, EYES),
    )


def _cut(episodes: "Sequence[Episode]", places: Sequence[Place]) -> PatchesOfOne:
    parts = [_cut_one(episode, place) for episode in episodes for place in places]
    joined = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    tensors = {
        name: torch.from_numpy(
            pictures if name == "places" else np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        )
        for name, pictures in joined.items()
    }
    return PatchesOfOne(**tensors)


def _cut_one(episode: "Episode", place: Place) -> dict[str, U8Array | F32Array]:
    sources, target = episode.points[1:], episode.points[:1]
    chosen = most_open(sources, place)
    frame = patch_frames(target, place)
    own_frame = patch_frames(sources[chosen : chosen + 1], place)
    true_shapes = draw_shapes(episode.true_points[None], frame, place)[0]
    around = 2 * round(_AROUND * place.size[1]) + 1
    region = cv2.dilate(true_shapes[..., 0], np.ones((around, around), np.uint8))
    soft = cv2.GaussianBlur(region, (5, 5), 0)
    return {
        "places": _places(frame[0], place.size, episode.pictures.shape[1]),
        "shapes": draw_shapes(target, frame, place)[0],
        "own": cut_patch(episode.pictures[1 + chosen], own_frame[0], place),
        "own_shapes": draw_shapes(sources[chosen : chosen + 1], own_frame, place)[0],
        "truth": cut_patch(episode.pictures[0], frame[0], place),
        "mask": _outside_black(episode.mask, frame[0], place)[..., None],
        "region": np.asarray(soft, np.uint8)[..., None],
    }


def _outside_black(mask: U8Array, frame: F64Array, place: Place) -> U8Array:
    height, width = place.size
    return np.asarray(cv2.warpAffine(mask, frame, (width, height)), np.uint8)


def _places(frame: F64Array, size: tuple[int, int], side_px: int) -> F32Array:
    back = cv2.invertAffineTransform(frame)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1) @ back.T
    return np.asarray(2 * pixels / (side_px - 1) - 1, np.float32)
