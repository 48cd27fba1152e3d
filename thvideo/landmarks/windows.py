"""Cut a stream of frame batches into short windows that do not depend on the batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thvideo.shapes import U8Array, check_shape

#: Key frames are this far apart; a face moves less than half its size in a quarter second.
KEY_INTERVAL = 6
#: Own frames of a window: enough for a batch, few enough for the memory of large frames.
WINDOW_FRAMES = 2 * KEY_INTERVAL


@dataclass(frozen=True, eq=False)
class Window:
    """A few frames of one shot.

    Args:
        first: Index of the first frame in the input.
        frames: ``[N, H, W, 3]``: the window's own frames, and one more where the shot goes on.
        n_own: How many frames are the window's own.
        starts_shot: The first frame is the first of its shot.
        ends_shot: The last own frame is the last of its shot.
    """

    first: int
    frames: U8Array
    n_own: int
    starts_shot: bool
    ends_shot: bool

    @property
    def keys(self) -> list[int]:
        """The key frames, as places in ``frames``: every sixth, and the last one of a shot."""
        last = len(self.frames) - 1
        return sorted({*range(0, last + 1, KEY_INTERVAL), last})


def cut_windows(
    batches: Iterable[U8Array], cuts: Sequence[int], first: int = 0
) -> Iterator[Window]:
    """Cut batches into windows.

    Args:
        batches: ``[B, H, W, 3]`` each, B as it comes.
        cuts: First frame of each new shot.
        first: Index of the first frame that comes: 0, or where an earlier window ended.

    Yields:
        Windows in order; together their own frames are all frames.
    """
    stock = _Stock(batches)
    starts = {0, *(int(cut) for cut in cuts)}
    ends = sorted(start for start in starts if start > 0)
    while True:
        while ends and ends[0] <= first:
            ends.pop(0)
        n_wanted = WINDOW_FRAMES + 1
        if ends:
            n_wanted = min(n_wanted, ends[0] - first)
        frames = stock.look(n_wanted)
        if len(frames) == 0:
            return
        goes_on = len(frames) > WINDOW_FRAMES
        n_own = WINDOW_FRAMES if goes_on else len(frames)
        window = Window(first, frames, n_own, first in starts, not goes_on)
        # Large frames fill the memory: only who takes the window holds it from now on.
        del frames
        yield window
        del window
        stock.drop(n_own)
        first += n_own


class _Stock:
    """Frames that came and are not used up; those of a window are not copied if they came so."""

    def __init__(self, batches: Iterable[U8Array]) -> None:
        self._batches = iter(batches)
        self._held = self._rest = _NO_FRAMES

    def look(self, n_frames: int) -> U8Array:
        """Return the next frames, fewer at the end of the stream."""
        if len(self._held) == 0:
            self._held = self._next()
        if 0 < len(self._held) < n_frames:
            self._join(n_frames)
        return self._held[:n_frames]

    def drop(self, n_frames: int) -> None:
        """Let go of the next frames."""
        # A copy, so that the frames before it can go.
        self._held = self._held[n_frames:].copy()

    def _join(self, n_frames: int) -> None:
        """Hold so many frames together; large ones are there but once while they come."""
        joined = np.empty((n_frames, *self._held.shape[1:]), dtype=np.uint8)
        piece, self._held, n_joined = self._held, _NO_FRAMES, 0
        while len(piece):
            taken = piece[: n_frames - n_joined]
            joined[n_joined : n_joined + len(taken)] = taken
            n_joined += len(taken)
            if len(taken) < len(piece):
                self._rest = piece[len(taken) :].copy()
            del piece, taken
            if n_joined == n_frames:
                break
            piece = self._next()
        self._held = joined[:n_joined]

    def _next(self) -> U8Array:
        """Return the frames that come next, however many; none at the end of the stream."""
        if len(self._rest):
            rest, self._rest = self._rest, _NO_FRAMES
            return rest
        for batch in self._batches:
            check_shape(batch, "B H W 3")
            if len(batch):
                return batch
        return _NO_FRAMES


_NO_FRAMES: U8Array = np.zeros((0, 1, 1, 3), dtype=np.uint8)
