"""Choosing the device to run on, and how many CPU threads it may take."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thvideo.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """Turn a device's name into the device, or say why it is not there.

    Args:
        name: "auto" (the best there is), "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DeviceError: The name is unknown or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (number and not number.isdigit()):
        raise DeviceError(
            f"unknown device '{name}'", hint="use --device auto, cpu, cuda, cuda:1 or mps"
        )
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(
                "this machine has no CUDA device that this PyTorch can use",
                hint="use --device auto, or install a PyTorch built for your CUDA driver",
            )
        if int(number or 0) >= count:
            raise DeviceError(
                f"there is no device '{name}', only {count} CUDA device(s)",
                hint=f"use --device cuda:{count - 1}",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "this machine has no MPS device (Apple silicon)", hint="use --device auto"
        )
    return torch.device(name)


def cpu_thread_count() -> int:
    """Return how many CPU threads torch computes with."""
    return torch.get_num_threads()


class _Blocks(threading.local):
    """How many blocks of `cpu_threads` this thread is in."""

    n_here = 0


_BLOCKS, _LOCK = _Blocks(), threading.Lock()
#: What torch computed with before the first block of any thread, once for each that has begun and
#: not ended: a thread that is new takes over whatever another has set last.
_USUAL: list[int] = []


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch compute with ``count`` CPU threads inside the block; 0 leaves its own choice.

    Threads that are in such blocks at the same time do not disturb each other's numbers.
    """
    n_here = _BLOCKS.n_here
    with _LOCK:
        _USUAL.append(_USUAL[0] if _USUAL else torch.get_num_threads())
        before = torch.get_num_threads() if n_here else _USUAL[0]
        torch.set_num_threads(count or before)
    _BLOCKS.n_here = n_here + 1
    try:
        yield
    finally:
        _BLOCKS.n_here = n_here
        with _LOCK:
            torch.set_num_threads(before)
            _USUAL.pop()
