"""Long work in published chunks, with progress from inside a chunk."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from thvideo.shapes import U8Array

_AHEAD = 2

#: Frames read at once from a chunk.
_BATCH = 8


class _Abandoned(Exception):  # noqa: N818  a message to a thread, not an error
    """The giving side has gone."""


def chunk_bounds(n_frames: int, chunk_frames: int) -> list[tuple[int, int]]:
    """Return (start, stop) of each chunk of a video."""
    starts = range(0, n_frames, chunk_frames)
    return [(start, min(start + chunk_frames, n_frames)) for start in starts]


def read_chunk(path: Path, start: int = 0, stop: int | None = None) -> Iterator[U8Array]:
    """Yield frames ``start .. stop - 1`` of a chunk as batches ``[B, H, W, 3]``."""
    from thvideo.video.probe import probe
    from thvideo.video.read import read_frames

    yield from read_frames(path, probe(path), start=start, stop=stop, batch=_BATCH)


def ahead(batches: Generator[U8Array, None, None]) -> Generator[U8Array, None, None]:
    """Yield batches ``[B, H, W, 3]`` while the next one is made in a thread; closes them."""
    at_work = threading.Lock()

    def make() -> U8Array | None:
        with at_work:
            return next(batches, None)

    try:
        with ThreadPoolExecutor(1, "ahead") as pool:
            coming = pool.submit(make)
            while (batch := coming.result()) is not None:
                coming = pool.submit(make)
                yield batch
    finally:
        # A signal that comes while the pool starts its thread makes it forget to wait for it.
        with at_work:
            batches.close()


def fed(consume: Callable[[Iterator[U8Array]], None], batches: Iterable[U8Array]) -> Iterator[int]:
    """Feed batches to a consumer that runs beside, and say how far it is.

    Making a batch and consuming the one before overlap; a few batches are held at most.

    Args:
        consume: Takes an iterator of batches and returns when all is written.
        batches: ``[B, H, W, 3]`` each.

    Yields:
        The number of frames handed over so far; after the last one the consumer has returned.
    """
    handed: queue.Queue[U8Array | _Abandoned | None] = queue.Queue(_AHEAD)
    failures: list[BaseException] = []

    def arriving() -> Iterator[U8Array]:
        while (batch := handed.get()) is not None:
            if isinstance(batch, _Abandoned):
                raise batch
            yield batch

    def work() -> None:
        try:
            consume(arriving())
        except BaseException as error:  # handed on to the thread that gives the batches
            failures.append(error)

    worker = threading.Thread(target=work, name="encode", daemon=True)
    worker.start()
    finished = False
    try:
        n_frames = 0
        for batch in batches:
            if not _hand_over(batch, handed, worker):
                break
            n_frames += len(batch)
            yield n_frames
        _hand_over(None, handed, worker)
        finished = True
    finally:
        if not finished:
            _hand_over(_Abandoned(), handed, worker)
        worker.join()
    if failures:
        raise failures[0]


def _hand_over(
    item: U8Array | _Abandoned | None,
    handed: "queue.Queue[U8Array | _Abandoned | None]",
    worker: threading.Thread,
) -> bool:
    """Put an item, unless the consumer has ended; tell whether it was taken."""
    while worker.is_alive():
        try:
            handed.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False
