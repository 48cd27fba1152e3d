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
        yield Window(first, frames, n_own, first in starts, not goes_on)
        stock.drop(n_own)
        first += n_own


class _Stock:
    """Frames that came and are not used up; frames of one batch are not copied."""

    def __init__(self, batches: Iterable[U8Array]) -> None:
        self._batches = iter(batches)
        self._held: list[U8Array] = []

    def look(self, n_frames: int) -> U8Array:
        """Return the next frames, fewer at the end of the stream."""
        while sum(map(len, self._held)) < n_frames:
            batch = next(self._batches, None)
            if batch is None:
                break
            check_shape(batch, "B H W 3")
            if len(batch):
                self._held.append(batch)
        if not self._held:
            return np.zeros((0, 1, 1, 3), dtype=np.uint8)
        if len(self._held[0]) < n_frames and len(self._held) > 1:
            # Only what is needed of the later batches is copied.
            taken, missing = [], n_frames
            for piece in self._held:
                taken.append(piece[:missing])
                missing -= len(taken[-1])
            return np.concatenate([piece for piece in taken if len(piece)])
        return self._held[0][:n_frames]

    def drop(self, n_frames: int) -> None:
        """Let go of the next frames."""
        while n_frames and self._held:
            used = min(n_frames, len(self._held[0]))
            self._held[0] = self._held[0][used:]
            n_frames -= used
            if len(self._held[0]) == 0:
                self._held.pop(0)
