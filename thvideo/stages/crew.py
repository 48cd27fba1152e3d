"""Do one thing to many items in processes that may die without taking the rest along."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from thvideo.errors import StageError, ThvideoError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Result]

_CLOSE_S = 5.0


@dataclass(frozen=True)
class Died:
    """A worker ended in the middle of an item, as one that the system kills for its memory.

    Args:
        exit_code: The process's exit code; negative for a signal.
    """

    exit_code: int


@dataclass(frozen=True)
class _Ready:
    """What a worker says before its first result."""


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    is_ready: bool = False
    item: Any = None


def in_processes(
    begin: Callable[[], Work[Item, Result]], items: Iterator[Item], n_workers: int
) -> Iterator[tuple[Item, Result | Died]]:
    """Yield every item with its result, in the order in which they become ready.

    An item is taken only when a worker is free for it, and a worker is started only when there is
    an item for it. However this ends, no worker and none of its child processes is left.

    Args:
        begin: Called once in each process; returns what is done to the items. It, the items and
            the results travel between processes.
        items: What to work on; none of them is None.
        n_workers: How many processes at most.

    Raises:
        ThvideoError: The work raised one that is not about its item.
        StageError: A worker could not even begin.
    """
    busy: list[_Worker] = []
    idle: list[_Worker] = []
    try:
        while True:
            while len(busy) < n_workers and (item := next(items, None)) is not None:
                worker = idle.pop() if idle else _start(begin)
                busy.append(worker)
                worker.item = item
                with contextlib.suppress(OSError):  # it died; what it is asked next tells of that
                    worker.connection.send(item)
            if not busy:
                return
            connection = wait([worker.connection for worker in busy])[0]
            worker = next(worker for worker in busy if worker.connection is connection)
            said = _hear(worker)
            if isinstance(said, _Ready):
                worker.is_ready = True
                continue
            busy.remove(worker)
            if isinstance(said, Died):
                _end(worker)
            else:
                idle.append(worker)
            yield worker.item, said
    finally:
        for worker in (*busy, *idle):
            _end(worker)


def _start(begin: Callable[[], Work[Item, Result]]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, begin))
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _hear(worker: _Worker) -> Any:
    """Return what a worker says, or that it died."""
    try:
        said = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(_CLOSE_S)
        exit_code = worker.process.exitcode or 0
        if not worker.is_ready:
            raise StageError(
                f"a worker process could not start (exit code {exit_code})",
                hint="thvideo doctor checks this machine",
            ) from None
        return Died(exit_code)
    if isinstance(said, ThvideoError):
        raise said
    return said


def _end(worker: _Worker) -> None:
    """Kill a worker and its children; one that is idle has nothing to lose."""
    worker.connection.close()
    if worker.process.is_alive():
        try:
            os.killpg(worker.process.pid or 0, signal.SIGKILL)
        except (AttributeError, OSError):  # no groups on this system, or it has none yet
            worker.process.kill()
    worker.process.join()


def _serve(connection: Connection, begin: Callable[[], Work[Any, Any]]) -> None:
    """Live in a worker process: work on what comes until nothing comes any more."""
    # Ctrl-C goes to the terminal's whole group: an ffmpeg that it stops would make its video look
    # unreadable. The parent alone hears it, and ends this group.
    if hasattr(os, "setsid"):
        os.setsid()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        work = begin()
        connection.send(_Ready())
        while True:
            connection.send(work(connection.recv()))
    except ThvideoError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
