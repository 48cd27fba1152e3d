"""What a generator is shown, and what it draws: the one interface of both presets.

Shapes: B frames, S pixels along a side, n points of the coarse flow along a side.
"""

from typing import NamedTuple

from torch import Tensor


class Shown(NamedTuple):
    """What a generator is shown of the frames it has to draw. Pictures are RGB in -1..1.

    Attributes:
        target_map: ``[B, 3, S, S]`` landmark image of the frame to draw.
        source: ``[B, 3, S, S]`` the source crop nearest in pose.
        source_map: ``[B, 3, S, S]`` its landmark image.
        flow: ``[B, n, n, 2]`` where the source's pixels lie for the frame to draw: displacements
            in pixels on an even grid from the first pixel to the last.
    """

    target_map: Tensor
    source: Tensor
    source_map: Tensor
    flow: Tensor


class Drawn(NamedTuple):
    """What a generator drew.

    Attributes:
        image: ``[B, 3, S, S]`` RGB in -1..1.
        warped: ``[B, 3, S, S]`` the source after the generator's own warp; None where it has none.
        flow: ``[B, m, m, 2]`` that warp's flow in pixels; None where there is none.
    """

    image: Tensor
    warped: Tensor | None = None
    flow: Tensor | None = None
