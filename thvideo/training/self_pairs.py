"""Training pairs from single pictures: deformed as a face moves, to be drawn as they were."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thvideo.draft.head import find_head
from thvideo.draft.warp_generator import Draft, WarpGenerator
from thvideo.imaging.warp import fetch, upsample_flow
from thvideo.landmarks.plausible import Motions, moved_faces
from thvideo.landmarks.schema import amid_eyes
from thvideo.models.shown import Drawn
from thvideo.shapes import F32Array, F64Array, U8Array, check_shape
from thvideo.training.batch import Batch, Episode, stack
from thvideo.training.clip_source import Cut

#: Pictures deformed at once.
_BATCH = 8

#: How much larger than its landmarks a face is, brows and all.
_FACE_ROOM = 1.15


@dataclass(frozen=True)
class Shots:
    """Source crops of one person.

    Args:
        crops: ``[K, S, S, 3]`` uint8 RGB.
        landmarks: ``[K, 70, 2]`` in pixels of the crops; unknown irises are put amid their eyes.
        valid: ``[K, 4]`` x0, y0, x1, y1: the part of the crop that lies inside its picture.

    Raises:
        ValueError: A shape is wrong.
    """

    crops: U8Array
    landmarks: F32Array
    valid: F32Array

    def __post_init__(self) -> None:
        sizes = check_shape(self.crops, "K S S 3")
        check_shape(self.landmarks, "K 70 2", K=sizes["K"])
        check_shape(self.valid, "K 4", K=sizes["K"])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.crops)

    def part(self, start: int, stop: int | None = None) -> "Shots":
        """Return some of the shots."""
        some = slice(start, stop)
        return Shots(self.crops[some], self.landmarks[some], self.valid[some])

    @cached_property
    def each(self) -> "list[Deformed]":
        """The shots one by one, as they are."""
        shots = zip(self.crops, self.landmarks, strict=True)
        return [Deformed(crop, points) for crop, points in shots]

    @property
    def size_px(self) -> int:
        """Side of the crops."""
        return self.crops.shape[1]

    def resized(self, size_px: int) -> "Shots":
        """Return the shots at another size."""
        scale = size_px / self.size_px
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        crops = self.crops
        if scale != 1:
            side = (size_px, size_px)
            crops = np.stack([cv2.resize(crop, side, interpolation=method) for crop in crops])
        landmarks = (amid_eyes(self.landmarks) + 0.5) * scale - 0.5
        return Shots(crops, landmarks.astype(np.float32), (self.valid * scale).astype(np.float32))

    def masks(self) -> U8Array:
        """Return ``[K, S, S]``, 255 where a pixel lies in its picture."""
        masks = np.zeros(self.crops.shape[:3], np.uint8)
        for mask, (x0, y0, x1, y1) in zip(masks, self.valid, strict=True):
            mask[int(np.ceil(y0)) : int(y1), int(np.ceil(x0)) : int(x1)] = 255
        return masks


@dataclass(frozen=True)
class Deformed:
    """A picture, as it is or moved.

    Args:
        crop: ``[S, S, 3]`` uint8 RGB.
        points: ``[70, 2]`` where its face is now, in pixels.
    """

    crop: U8Array
    points: F32Array

    @cached_property
    def head(self) -> U8Array:
        """``[S, S]``, 255 where its head is, as the generator will be shown it."""
        return find_head(self.crop, self.points)


#: Draws a batch.
Draw = Callable[[Batch], Drawn]


def moved_picture(picture: Cut, n_shots: int, rng: np.random.Generator) -> Cut:
    """Let geometry move a picture's face: sources from which the picture is to be drawn.

    Args:
        picture: One frame, with all its landmarks.
        n_shots: K.
        rng: Draws the motions.

    Returns:
        ``1 + K`` frames, the picture itself first. Only the face counts: around it geometry moves
        what stays still before a camera, and to draw that as it was would teach to move it.
    """
    geometry = WarpGenerator(picture.frames, picture.points, torch.device("cpu"))
    wanted = _possible(geometry, picture.points[0], n_shots, rng)
    return Cut(
        np.concatenate([picture.frames, geometry.generate(wanted)]),
        np.concatenate([picture.points, wanted]).astype(np.float32),
        np.minimum(picture.mask, _face_mask(picture.points[0], len(picture.mask))),
    )


def _face_mask(points: F32Array, size_px: int) -> U8Array:
    """Draw where a face ``[70, 2]`` is, from a little above the brows to the chin, ``[S, S]``."""
    ibug = points[:68]
    centre = ibug.mean(axis=0)
    hull = cv2.convexHull(np.round(centre + _FACE_ROOM * (ibug - centre)).astype(np.int32))
    mask = np.zeros((size_px, size_px), np.uint8)
    return np.asarray(cv2.fillConvexPoly(mask, hull, 255), np.uint8)


def deformed(
    shots: Shots,
    size_px: int,
    n_each: int,
    rng: np.random.Generator,
    draw: Draw,
    *,
    with_drafts: bool = True,
) -> list[list[Deformed]]:
    """Let a generator move pictures as their faces could move.

    Geometry alone would move hair, neck and background as no camera sees them move, and putting
    that back would teach a generator to move them so.

    Args:
        shots: The pictures, as large as there are.
        size_px: Side of what is made.
        n_each: How many are made of each picture.
        rng: Draws the motions.
        draw: The generator, for pictures of ``size_px``.
        with_drafts: Whether the generator starts from drafts.
    """
    small = shots.resized(size_px)
    return [
        _of_one(shots.part(index, index + 1), small, index, n_each, rng, draw, with_drafts)
        for index in range(len(shots))
    ]


def _of_one(
    shot: Shots,
    small: Shots,
    index: int,
    n_each: int,
    rng: np.random.Generator,
    draw: Draw,
    with_drafts: bool,
) -> list[Deformed]:
    geometry = WarpGenerator(shot.crops, shot.landmarks, torch.device("cpu"))
    wanted = _possible(geometry, shot.landmarks[0], n_each, rng)
    faces = ((wanted + 0.5) * (small.size_px / shot.size_px) - 0.5).astype(np.float32)
    made = []
    for start in range(0, n_each, _BATCH):
        part = slice(start, start + _BATCH)
        batch = asked(small, index, faces[part], with_drafts=False)
        large = geometry.draw(wanted[part]) if with_drafts else None
        if large is not None:
            batch = replace(batch, draft=_shrunk(large.frames, small.size_px), flow=large.flow)
        pictures = _moved(large, batch.still(), draw(batch), small.size_px)
        made += [Deformed(crop, face) for crop, face in zip(pictures, faces[part], strict=True)]
    return made


def _possible(
    geometry: WarpGenerator, points: F32Array, n_motions: int, rng: np.random.Generator
) -> F64Array:
    """Draw motions that geometry can show of a face ``[70, 2]``, ``[T, 70, 2]``."""
    wanted = moved_faces(points, Motions.drawn(n_motions, rng))
    # Each face is a shot of its own: what folds is held back without regard to the others.
    return geometry.settle(wanted, range(1, n_motions))


def asked(shots: Shots, index: int, faces: F32Array, *, with_drafts: bool) -> Batch:
    """Ask for frames that nobody has seen: what is given as the true picture is none.

    Args:
        shots: Source crops.
        index: Which of them the frames are drawn from.
        faces: ``[B, 70, 2]`` what is wanted.
        with_drafts: Whether the generator is shown drafts.
    """
    pictures = np.stack([shots.crops[index]] * 2)
    mask = np.zeros(pictures.shape[1:3], np.uint8)
    own = shots.landmarks[index]
    head = shots.each[index].head
    episodes = [
        Episode(pictures, np.stack([face, own]), face, mask, chosen=0, video=0, head=head)
        for face in faces
    ]
    return stack(episodes, shots.size_px, with_drafts=with_drafts)


def _shrunk(frames: U8Array, size_px: int) -> Tensor:
    small = functional.adaptive_avg_pool2d(torch.from_numpy(frames).movedim(3, 1).float(), size_px)
    return small.round().to(torch.uint8)


def _moved(large: Draft | None, still: Tensor, drawn: Drawn, size_px: int) -> U8Array:
    """Return what was drawn, ``[B, S, S, 3]``, as sharp as the large draft is.

    Sources that the warp has blurred would teach to sharpen sources, which real ones do not need.
    """
    images = drawn.image.float()
    if large is not None and drawn.flow is not None and drawn.warped is not None:
        assert drawn.stays is not None
        draft = torch.from_numpy(large.frames).to(images.device).movedim(3, 1).float() / 127.5 - 1
        sharp = fetch(draft, upsample_flow(drawn.flow.float(), draft.shape[-1]))
        moved = functional.adaptive_avg_pool2d(sharp, size_px)
        stays = functional.interpolate(drawn.stays.float(), (size_px, size_px), mode="bilinear")
        images = images - drawn.warped.float() + torch.lerp(moved, still.to(moved), stays)
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    made: U8Array = pixels.movedim(1, 3).cpu().numpy()
    return made
