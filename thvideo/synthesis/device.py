"""Choosing the device to run on, and how many CPU threads it may take."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thvideo.errors import DeviceError
from thvideo.reading import whole_number


def choose_devices(names: str) -> list[torch.device]:
    """Turn names into the devices, or say why one is not there.

    Args:
        names: "auto" (the best there is), "cpu", "cuda", "cuda:1" or "mps"; or several of one
            kind between commas, such as "cuda:0,cuda:1".

    Raises:
        DeviceError: A name is unknown or there twice, this machine has no such device, or the
            kinds differ.
    """
    devices = [_choose(name.strip()) for name in names.split(",")]
    if len({device.type for device in devices}) > 1:
        # Each kind rounds in its own way: frames would differ in turn.
        raise DeviceError(
            f"'{names}' names devices of different kinds",
            hint="name several of one kind, such as --device cuda:0,cuda:1",
        )
    is_named_twice = len({device.index or 0 for device in devices}) < len(devices)
    if is_named_twice and devices[0].type != "cpu":
        raise DeviceError(
            f"'{names}' names a device twice",
            hint="name each once, such as --device cuda:0,cuda:1",
        )
    return devices


def choose_device(names: str) -> torch.device:
    """Turn names into one device, the first of several.

    Raises:
        DeviceError: As of `choose_devices`.
    """
    return choose_devices(names)[0]


def _choose(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (number and whole_number(number) is None):
        raise DeviceError(
            f"unknown device '{name}'",
            hint="use --device auto, cpu, cuda, cuda:1, cuda:0,cuda:1 or mps",
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
