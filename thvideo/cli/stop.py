"""Ctrl-C and SIGTERM: stop at once, whatever the main thread is busy with."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from thvideo.errors import ExitCode

GRACE_S = 1.2
STOPPED = "finished parts are kept; the same command goes on from there"
_SHOW_CURSOR = "\x1b[?25h"


class Terminated(SystemExit):
    """SIGTERM arrived; unwinds like Ctrl-C and ends with 143."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into exceptions, and leave soon even if they cannot be raised.

    Python raises an interrupt only between two bytecodes of the main thread, and at its exit it
    joins threads; either could take seconds inside a long operation of a library. The C-level
    signal handler writes the signal's number into a socket at once; a thread reads it and ends the
    process after ``GRACE_S``, or on a second signal. Chunks are renamed only when they are whole,
    so leaving this way loses nothing that was finished.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopped = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        stopped.set()
        if number == signal.SIGTERM:
            raise Terminated(exit_code_of(number))
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    wakeup_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_leave_after_grace, args=(reader, stopped), daemon=True).start()
    try:
        yield
    finally:
        if not stopped.is_set():
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()


@contextmanager
def stopping_softly() -> Iterator[Callable[[], bool]]:
    """Let the first SIGINT or SIGTERM only ask to stop; the second one stops as elsewhere.

    Yields:
        What tells whether somebody asked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    at_once = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Whoever listens at the wakeup would end the process, busy or not.
    wakeup = signal.set_wakeup_fd(-1)

    def restore() -> None:
        for number, handler in at_once.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        restore()
        with suppress(OSError):
            os.write(2, b"stopping after this step; once more stops at once\n")

    for number in at_once:
        signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        restore()


def exit_code_of(signal_number: int) -> int:
    """Return what the process says when a signal ended it."""
    return int(ExitCode.INTERRUPT) if signal_number == signal.SIGINT else 128 + signal_number


def _leave_after_grace(reader: socket.socket, stopped: threading.Event) -> None:
    first = _next_stop(reader)
    if not first:
        reader.close()
        return
    reader.settimeout(GRACE_S)
    with suppress(TimeoutError):
        _next_stop(reader)
    with suppress(OSError):
        if sys.stderr.isatty():
            os.write(2, _SHOW_CURSOR.encode())
        if not stopped.is_set():
            os.write(2, f"stopped: {STOPPED}\n".encode())
    os._exit(exit_code_of(first))


def _next_stop(reader: socket.socket) -> int:
    """Wait for a signal that stops; others, such as that a child has ended, are heard too.

    Returns:
        Its number; 0 when nobody will send any more.
    """
    while heard := reader.recv(1):
        if heard[0] in (signal.SIGINT, signal.SIGTERM):
            return heard[0]
    return 0
