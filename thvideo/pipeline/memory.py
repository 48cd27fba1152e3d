"""The peak memory of a part of a run, with that of child processes such as ffmpeg."""

import os
import sys
import threading
import time
import weakref
from pathlib import Path

_SELF = Path("/proc/self")
_SAMPLE_EVERY_S = 0.1
# "5" resets the high-water mark of the resident set (proc(5), clear_refs).
_RESET_PEAK = "5"


#: Meters in use, whose own peak is noted before another one resets the process's mark; one
#: process has one mark.
_IN_USE: "weakref.WeakSet[MemoryMeter]" = weakref.WeakSet()
_LOCK = threading.Lock()


class MemoryMeter:
    """Measures from its creation on; ``sample`` it now and then while children live."""

    def __init__(self) -> None:
        self._own = 0
        with _LOCK:
            for other in _IN_USE:
                other._own = max(other._own, _status_bytes(_SELF, "VmHWM"))
            self._is_own_reset = _reset_own_peak()
            _IN_USE.add(self)
        self._children_before = _ended_children_peak()
        self._living_children = 0
        self._next_sample_s = 0.0

    def sample(self) -> None:
        """Look at the living children; cheap enough for every event."""
        now_s = time.monotonic()
        if now_s >= self._next_sample_s:
            self._next_sample_s = now_s + _SAMPLE_EVERY_S
            self._living_children = max(self._living_children, _living_children_peak())

    def peak_bytes(self) -> int:
        """Return the highest resident size of the process plus that of its children.

        Where the system cannot reset the process's own mark, it is that since the start.
        """
        own = max(self._own, _status_bytes(_SELF, "VmHWM")) if self._is_own_reset else 0
        children = self._living_children
        if not _SELF.is_dir():
            # Linux lets an ended child's peak begin with what its parent had: no help there.
            ended = _ended_children_peak()
            children = ended if ended > self._children_before else 0
        return (own or _own_peak_since_start()) + children


def _reset_own_peak() -> bool:
    try:
        (_SELF / "clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status_bytes(process: Path, field: str) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    found = next((line for line in lines if line.startswith(f"{field}:")), None)
    return int(found.split()[1]) * 1024 if found else 0


def _living_children_peak() -> int:
    own_command = _command(_SELF)
    total = 0
    for task in sorted(_SELF.glob("task/*/children")):
        try:
            children = [Path("/proc") / child for child in task.read_text().split()]
        except OSError:
            continue
        # One that is about to become a program still has its parent's memory, and its command.
        others = [child for child in children if _command(child) != own_command]
        total += sum(_status_bytes(child, "VmHWM") for child in others)
    return total


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _own_peak_since_start() -> int:
    return _max_rss_bytes(children=False)


def _ended_children_peak() -> int:
    return _max_rss_bytes(children=True)


def _max_rss_bytes(*, children: bool) -> int:
    if os.name == "nt":
        return 0
    import resource

    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    # macOS counts bytes, Linux KiB.
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
