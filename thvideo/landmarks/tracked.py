"""The landmarks of one face over one input, as they lie on disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thvideo.shapes import BoolArray, F32Array, F64Array, check_shape

# Of the usual confidence; profiles and faces half seen in a transition have less.
_SURE_SHARE = 0.9


@dataclass(frozen=True)
class Tracked:
    """One face over T frames.

    Args:
        points: Landmarks ``[T, 70, 2]`` in pixels of the upright frame, gaps filled and jitter
            removed.
        raw: The same as the tracker gave them; NaN where no face was found.
        confidence: ``[T]`` in 0..1.
        found: ``[T]``, whether a face was found whose mouth is not covered.
        times_s: ``[T]``, the frames' times from 0.
    """

    points: F32Array
    raw: F32Array
    confidence: F32Array
    found: BoolArray
    times_s: F64Array

    @property
    def sure(self) -> BoolArray:
        """The frames ``[T]`` that were found and are about as sure as is usual here."""
        usual = np.median(self.confidence[self.found]) if self.found.any() else 0.0
        return self.found & (self.confidence >= _SURE_SHARE * usual)

    def save(self, path: Path) -> None:
        """Write an npz file."""
        with path.open("wb") as file:
            np.savez(
                file,
                points=self.points,
                raw=self.raw,
                confidence=self.confidence,
                found=self.found,
                times_s=self.times_s,
            )


def load_tracked(path: Path) -> Tracked:
    """Read what :meth:`Tracked.save` wrote.

    Raises:
        ValueError: The arrays do not belong together.
    """
    with np.load(path, allow_pickle=False) as data:
        sizes = check_shape(data["points"], "T 70 2")
        check_shape(data["raw"], "T 70 2", **sizes)
        for name in ("confidence", "found", "times_s"):
            check_shape(data[name], "T", **sizes)
        return Tracked(
            data["points"], data["raw"], data["confidence"], data["found"], data["times_s"]
        )
