"""What reenact asks of a generator, learned or not."""

from collections.abc import Sequence
from typing import Protocol

from thvideo.shapes import F64Array, I64Array, U8Array


class Generator(Protocol):
    """Draws the source as adapted landmarks say."""

    def settle(self, points: F64Array, cuts: Sequence[int] = ()) -> F64Array:
        """Bring a whole video's landmarks ``[T, 70, 2]`` within what the generator can draw."""
        ...

    def choose(self, points: F64Array, cuts: Sequence[int] = ()) -> I64Array:
        """Choose which source crop serves each frame of a whole video, ``[T]``."""
        ...

    def generate(self, points: F64Array, sources: I64Array | None = None) -> U8Array:
        """Draw landmarks ``[B, 70, 2]`` from chosen sources ``[B]`` as crops ``[B, S, S, 3]``."""
        ...
