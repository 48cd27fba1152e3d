"""The parts of a step by name: PyTorch's profiler tells by them where the time goes."""

from collections.abc import Iterator
from typing import TypeVar

from torch.profiler import record_function

#: Waiting for a batch, or making it; the networks and losses; their gradients; what changes the
#: weights and their averages; what writes the log and checkpoints.
LOAD, FORWARD, BACKWARD, UPDATE, LOG = "load", "forward", "backward", "update", "log"
PARTS = (LOAD, FORWARD, BACKWARD, UPDATE, LOG)

_Item = TypeVar("_Item")


def loaded(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield items; the time until each comes is `LOAD`."""
    while True:
        with record_function(LOAD):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
