"""What a generator is shown, and what it draws: the one interface of both presets.

Shapes: B frames, S pixels along a side, n and m cells of a flow along a side.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Shown(NamedTuple):
    """What a generator is shown of the frames it has to draw. Pictures are RGB in -1..1.

    Attributes:
        target_map: ``[B, 3, S, S]`` landmark image of the frame to draw.
        draft: ``[B, 3, S, S]`` the source crop nearest in pose, moved onto the landmarks by
            geometry alone.
        source_map: ``[B, 3, S, S]`` the landmark image of that source crop.
        flow: ``[B, n, n, 2]`` how far away in the source crop the draft's pixels come from, in
            half sides, on an even grid from the first pixel to the last.
        still: ``[B, 3, S, S]`` the first source crop, unmoved: what is behind a head that moves.
        still_head: ``[B, 1, S, S]`` where that crop's own head is, 0 to 1.
    """

    target_map: Tensor
    draft: Tensor
    source_map: Tensor
    flow: Tensor
    still: Tensor
    still_head: Tensor


class Drawn(NamedTuple):
    """What a generator drew.

    Attributes:
        image: ``[B, 3, S, S]`` RGB in -1..1.
        warped: ``[B, 3, S, S]`` the draft after the generator's own warp, with what stays still
            in its place; None where there is none.
        flow: ``[B, m, m, 2]`` where that warp fetches from, in -1..1 of the picture; None where
            there is none.
        stays: ``[B, 1, m, m]`` where the still crop takes the warped draft's place, 0 to 1; None
            where there is none.
    """

    image: Tensor
    warped: Tensor | None = None
    flow: Tensor | None = None
    stays: Tensor | None = None


def as_signed(pictures: Tensor) -> Tensor:
    """Turn uint8 pictures ``[B, 3, H, W]`` into floats in -1..1, channels last in memory."""
    signed = pictures.float() / 127.5 - 1
    return signed.contiguous(memory_format=torch.channels_last)


#: Height and width in pixels of the patches of a mouth and of an eye.
MOUTH_SIZE, EYE_SIZE = (80, 96), (48, 64)


class Patch(NamedTuple):
    """What a foveal network is shown of P patches of ``h`` by ``w`` pixels, RGB in -1..1.

    Attributes:
        base: ``[P, 3, h, w]`` what the generator drew there.
        shapes: ``[P, 3, h, w]`` the shapes of lips or lids in the frame to draw, as colours.
        own: ``[P, 3, h, w]`` the same part of the face in a source crop, unmoved.
        own_shapes: ``[P, 3, h, w]`` its shapes.
    """

    base: Tensor
    shapes: Tensor
    own: Tensor
    own_shapes: Tensor


class Patches(NamedTuple):
    """What the foveal networks are shown of B frames.

    Attributes:
        mouth: ``B`` patches.
        eyes: ``2 B`` patches, each frame's right eye, then its left eye mirrored.
    """

    mouth: Patch
    eyes: Patch


class DrawnPatches(NamedTuple):
    """What the foveal networks drew: ``[B, 3, h, w]`` and ``[2 B, 3, h, w]``, RGB in -1..1."""

    mouth: Tensor
    eyes: Tensor
