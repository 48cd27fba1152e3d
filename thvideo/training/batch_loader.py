"""Batches made ahead, in processes of their own."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import cv2
from torch.utils.data import DataLoader, Dataset

from thvideo.errors import ThvideoError
from thvideo.training.batch import Batch
from thvideo.training.episodes import Episodes

# Batches that each process has ready.
_AHEAD = 3


def batches_from(
    episodes: Episodes, numbers: range, part: range, n_workers: int, *, pinned: bool = False
) -> Iterator[Batch]:
    """Yield batches in the order of their numbers.

    Args:
        episodes: Draws them.
        numbers: Which.
        part: Which episodes of each.
        n_workers: Processes that make them ahead; 0 makes each when it is asked for.
        pinned: Whether they are to be copied to a GPU.

    Raises:
        InputError: A clip is missing or damaged.
    """
    loader = DataLoader(
        _Batches(episodes, part),
        batch_size=None,
        sampler=numbers,
        num_workers=n_workers,
        prefetch_factor=_AHEAD if n_workers else None,
        worker_init_fn=_begin_worker if n_workers else None,
        multiprocessing_context=_context() if n_workers else None,
        pin_memory=pinned,
    )
    # OpenCV's threads do not live on in a forked process, which would wait for them for ever.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        batches = iter(loader)
    finally:
        cv2.setNumThreads(n_threads)
    for batch in batches:
        if isinstance(batch, ThvideoError):
            raise batch
        yield batch


class _Batches(Dataset[Batch | ThvideoError]):
    """Batches by their numbers; what goes wrong with one stands in its place.

    An error that a process raised would arrive as the text of its traceback.
    """

    def __init__(self, episodes: Episodes, part: range) -> None:
        self._episodes, self._part = episodes, part

    def __getitem__(self, number: int) -> Batch | ThvideoError:
        try:
            return self._episodes.batch(number, self._part)
        except ThvideoError as error:
            return error


def _context() -> str | None:
    # A fork shares the cached frames; other ways of starting would copy them to each process.
    can_fork = sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()
    return "fork" if can_fork else None


def _begin_worker(_: int) -> None:
    """Outlive the signal that tells the whole group of processes to stop.

    The run still needs the batches of the step it is in, and ends its workers itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_next_time(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, end_next_time)
