"""Working through many items in batches that fit into memory."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from thvideo.errors import DeviceError

Result = TypeVar("Result")


def in_batches(
    n_items: int, batch_size: int, work: Callable[[slice], Result], first_size: int | None = None
) -> Iterator[tuple[slice, Result]]:
    """Do work batch by batch, in order; halve the batch whenever memory runs out.

    Args:
        n_items: How many items there are.
        batch_size: How many to try at once; once halved it stays halved.
        work: Called with the slice of items to do.
        first_size: How many at most to do first, so that something is there soon.

    Yields:
        The slice and what ``work`` made of it.

    Raises:
        ValueError: The batch size is not positive.
        DeviceError: Even one item does not fit.
    """
    if batch_size < 1:
        raise ValueError(f"batch size must be at least 1, got {batch_size}")
    start, size = 0, batch_size
    while start < n_items:
        # After a smaller first one, batches end where they would have ended without it.
        stop = min(first_size or size, size) if start == 0 else (start // size + 1) * size
        part = slice(start, min(stop, n_items))
        try:
            result = work(part)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise DeviceError(
                    "out of memory with a single frame on the device",
                    hint="use --device cpu or a smaller --size",
                ) from error
            # The traceback holds the failed batch's tensors until it is dropped.
            error.__traceback__ = None
            size = max(1, min(size, part.stop - part.start) // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield part, result
        start = part.stop


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out, on whichever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # MPS and the CPU's allocator raise plain RuntimeErrors and say so in words only.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    )
