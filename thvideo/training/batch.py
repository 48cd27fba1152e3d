"""A batch of episodes, as tensors: pictures, drafts, landmark images and masks.

Shapes: B episodes, K source frames, S pixels along a side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from thvideo.draft.warp_generator import Draft, WarpGenerator
from thvideo.landmarks import schema
from thvideo.landmarks.draw import draw_heads, draw_landmarks
from thvideo.models.shown import Shown, as_signed
from thvideo.shapes import F32Array, F64Array, U8Array
from thvideo.training.clip_source import shrunk_to
from thvideo.training.patch_batch import PatchBatch, patch_batch


@dataclass(frozen=True)
class Episode:
    """One episode; the target comes first.

    Args:
        pictures: ``[1 + K, S, S, 3]`` uint8 RGB.
        points: ``[1 + K, 70, 2]`` as the networks see them, with noise.
        true_points: ``[70, 2]`` the target's, without.
        mask: ``[S, S]`` 255 where pixels count.
        chosen: Which source is warped.
        video: The clip's number.
        head: ``[S, S]`` 255 where the first source's head is; None asks its landmarks.
    """

    pictures: U8Array
    points: F32Array
    true_points: F32Array
    mask: U8Array
    chosen: int
    video: int
    head: U8Array | None = None


@dataclass(frozen=True)
class Batch:
    """B episodes on a device; pictures are uint8 RGB ``[..., 3, S, S]``.

    Args:
        sources: ``[B, K, 3, S, S]``.
        source_maps: ``[B, K, 3, S, S]`` their landmark images.
        chosen: ``[B]`` which source is warped.
        target: ``[B, 3, S, S]``, the frame to draw.
        target_map: ``[B, 3, S, S]``.
        draft: ``[B, 3, S, S]`` the chosen source moved onto the target's landmarks by geometry;
            the source itself where no drafts are wanted.
        flow: ``[B, n, n, 2]`` where the draft's pixels come from, as ``Shown`` says it.
        still_head: ``[B, 1, S, S]``, 255 where the first source's head is.
        mask: ``[B, 1, S, S]``, 255 where pixels count.
        region: ``[B, 1, S, S]``, 255 on mouth and eyes.
        points: ``[B, 70, 2]`` the target's landmarks without noise.
        video: ``[B]`` the clips' numbers, the columns of W.
        patches: Mouth and eyes for the foveal networks; None for a generator without them.
    """

    sources: Tensor
    source_maps: Tensor
    chosen: Tensor
    target: Tensor
    target_map: Tensor
    draft: Tensor
    flow: Tensor
    still_head: Tensor
    mask: Tensor
    region: Tensor
    points: Tensor
    video: Tensor
    patches: PatchBatch | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Return the batch in memory from which a GPU copies without the processor."""
        return self._each(lambda tensor: tensor.pin_memory())

    def part(self, episodes: slice) -> "Batch":
        """Return some of the episodes."""
        some = replace(self, patches=None)._each(lambda tensor: tensor[episodes])
        return replace(some, patches=self.patches and self.patches.part(episodes))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = {k: change(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return Batch(**tensors, patches=self.patches and self.patches.each(change))

    def shown(self) -> Shown:
        """Return what the generator is shown."""
        rows = torch.arange(len(self.chosen), device=self.chosen.device)
        return Shown(
            target_map=as_signed(self.target_map),
            draft=as_signed(self.draft),
            source_map=as_signed(self.source_maps[rows, self.chosen]),
            flow=self.flow,
            still=self.still(),
            still_head=self.still_head.float() / 255,
        )

    def still(self) -> Tensor:
        """Return the first sources ``[B, 3, S, S]`` in -1..1: what is seen where nothing moves."""
        return as_signed(self.sources[:, 0])


def stack(
    episodes: Sequence[Episode],
    size_px: int,
    *,
    with_drafts: bool = True,
    with_patches: bool = False,
) -> Batch:
    """Put episodes of the same K into one batch.

    Args:
        episodes: The episodes, with pictures of ``size_px`` or larger.
        size_px: Side of the batch's pictures.
        with_drafts: Whether the generator is shown drafts, which take time.
        with_patches: Whether it has foveal networks; it needs drafts.
    """
    drafts = [draft_of(episode, drawn=with_drafts) for episode in episodes]
    patches = None
    if with_patches:
        patches = patch_batch(episodes, np.concatenate([draft.frames for draft in drafts]))
    drafts = [draft._replace(frames=shrunk_to(draft.frames, size_px)) for draft in drafts]
    episodes = [_shrunk(episode, size_px) for episode in episodes]
    pictures = np.stack([episode.pictures for episode in episodes])
    points = np.stack([episode.points for episode in episodes])
    n_batch, n_frames = points.shape[:2]
    maps = draw_landmarks(points.reshape(-1, schema.N_POINTS, 2), (size_px, size_px))
    maps = maps.reshape(n_batch, n_frames, size_px, size_px, 3)
    chosen = np.array([episode.chosen for episode in episodes])
    true_points = np.stack([episode.true_points for episode in episodes])
    region = np.stack([region_of(face, size_px) for face in true_points])
    heads = [
        draw_heads(episode.points[1:2], size_px)[0] if episode.head is None else episode.head
        for episode in episodes
    ]
    channels_first = (0, 1, 4, 2, 3)
    pictures, maps = pictures.transpose(channels_first), maps.transpose(channels_first)
    return Batch(
        sources=torch.from_numpy(pictures[:, 1:].copy()),
        source_maps=torch.from_numpy(maps[:, 1:].copy()),
        chosen=torch.from_numpy(chosen),
        target=torch.from_numpy(pictures[:, 0].copy()),
        target_map=torch.from_numpy(maps[:, 0].copy()),
        draft=torch.from_numpy(np.concatenate([draft.frames for draft in drafts])).movedim(3, 1),
        flow=torch.cat([draft.flow for draft in drafts]),
        still_head=torch.from_numpy(np.stack(heads)[:, None]),
        mask=torch.from_numpy(np.stack([episode.mask for episode in episodes])[:, None]),
        region=torch.from_numpy(region[:, None]),
        points=torch.from_numpy(true_points.astype(np.float32)),
        video=torch.tensor([episode.video for episode in episodes]),
        patches=patches,
    )


def _shrunk(episode: Episode, size_px: int) -> Episode:
    own_px = episode.pictures.shape[1]
    if own_px == size_px:
        return episode
    scale = np.float32(size_px / own_px)
    return replace(
        episode,
        pictures=shrunk_to(episode.pictures, size_px),
        points=(episode.points + 0.5) * scale - 0.5,
        true_points=(episode.true_points + 0.5) * scale - 0.5,
        mask=shrunk_to(episode.mask[None], size_px)[0],
        head=None if episode.head is None else shrunk_to(episode.head[None], size_px)[0],
    )


def draft_of(episode: Episode, *, drawn: bool = True) -> Draft:
    """Move an episode's chosen source onto its target's landmarks."""
    source = slice(1 + episode.chosen, 2 + episode.chosen)
    if not drawn:
        return Draft(episode.pictures[source], torch.zeros(1, 2, 2, 2))
    generator = WarpGenerator(episode.pictures[source], episode.points[source], torch.device("cpu"))
    return generator.draw(episode.points[:1].astype(np.float64))


def region_of(points: F64Array | F32Array, size_px: int) -> U8Array:
    """Draw where people look: mouth and eyes, ``[S, S]`` 255 inside, soft at the edge."""
    region = np.zeros((size_px, size_px), np.uint8)
    for part in (schema.RIGHT_EYE, schema.LEFT_EYE, schema.OUTER_LIP):
        outline = points[part]
        centre = outline.mean(axis=0)
        width = np.linalg.norm(outline - centre, axis=1).max()
        away = outline - centre
        grown = centre + away + 0.3 * width * away / (np.linalg.norm(away, axis=1)[:, None] + 1e-6)
        cv2.fillConvexPoly(region, cv2.convexHull(np.round(grown).astype(np.int32)), 255)
    soft = max(1, round(size_px / 64)) * 2 + 1
    return np.asarray(cv2.GaussianBlur(region, (soft, soft), 0), np.uint8)
