"""Working through many items in batches that fit into memory and are no smaller than pays."""

import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from thvideo.errors import DeviceError, is_out_of_memory

Result = TypeVar("Result")

#: Frames that a thread draws at once, at first. Of twice as many two cores gain about a twentieth,
#: for 0.3 GB of memory.
BATCH_FRAMES = 8

#: Frames at once to which a GPU's batch may grow: up to 20 megabytes of memory each at 512 pixels.
_MOST_FRAMES = 128

#: A batch grows on if that makes an item faster by this share, after so many batches of either
#: size: the first one of a size is slow.
_WORTH, _TRIED = 0.05, 2


class BatchSize:
    """How many items are done at once: fewer where memory runs out, more where that is faster.

    Args:
        size: To begin with; once memory ran out it is halved, and stays so.
        most: It is doubled up to this while that pays, and stays at the best; 0 lets it be.

    Raises:
        ValueError: The size is not positive.
    """

    def __init__(self, size: int, most: int = 0) -> None:
        if size < 1:
            raise ValueError(f"batch size must be at least 1, got {size}")
        self.size, self._most = size, most
        #: What an item took: at half the size, and in each batch of this one.
        self._half_s, self._seen_s = math.inf, list[float]()

    def halve(self) -> None:
        """Note that a batch did not fit."""
        self.size, self._most = max(1, self.size // 2), 0

    def took(self, n_items: int, seconds: float) -> None:
        """Note how long a batch took, and choose the size of the next."""
        # What is left over at the end says nothing of whole batches.
        if not self._most or n_items < 0.75 * self.size:
            return
        self._seen_s.append(seconds / n_items)
        if len(self._seen_s) < _TRIED:
            return
        fastest_s = min(self._seen_s)
        self._seen_s.clear()
        if fastest_s > (1 - _WORTH) * self._half_s:
            self.size, self._most = self.size // 2, 0
        elif 2 * self.size <= self._most:
            self.size, self._half_s = 2 * self.size, fastest_s
        else:
            self._most = 0


def frames_at_once(device: str, n_threads: int, asked: int = 0) -> BatchSize:
    """Return how many frames so many threads draw at once on a kind of device, such as "cuda".

    Args:
        device: The kind.
        n_threads: How many share the frames.
        asked: What the person says; 0 chooses.
    """
    if asked:
        return BatchSize(asked)
    return BatchSize(n_threads * BATCH_FRAMES, _MOST_FRAMES if device == "cuda" else 0)


def in_batches(
    n_items: int,
    batch: BatchSize,
    work: Callable[[slice], Result],
    first_size: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[tuple[slice, Result]]:
    """Do work batch by batch, in order; halve the batch whenever memory runs out.

    Args:
        n_items: How many items there are.
        batch: How many to try at once; it learns from each batch, for calls to come too.
        work: Called with the slice of items to do.
        first_size: How many at most to do first, so that something is there soon.
        clock: Tells the seconds.

    Yields:
        The slice and what ``work`` made of it.

    Raises:
        DeviceError: Even one item does not fit.
    """
    start = 0
    while start < n_items:
        size = batch.size
        # After a smaller first one, batches end where they would have ended without it.
        stop = min(first_size or size, size) if start == 0 else (start // size + 1) * size
        part = slice(start, min(stop, n_items))
        n_tried, began_s = part.stop - part.start, clock()
        try:
            result = work(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise DeviceError(
                    "out of memory with a single frame on the device",
                    hint="use --device cpu or a smaller --size",
                ) from error
            # The traceback holds the failed batch's tensors until it is dropped.
            error.__traceback__ = None
            batch.halve()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        batch.took(n_tried, clock() - began_s)
        yield part, result
        start = part.stop
