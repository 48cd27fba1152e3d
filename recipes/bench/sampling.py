"""Where the processor's time goes in a command: the stacks of all its Python threads, sampled.

``python -m recipes.bench.sampling FILE reenact ...`` runs ``thvideo reenact ...`` and writes FILE
in the collapsed form that flame graphs are drawn from: a stack, its frames between semicolons,
and its microseconds. The time between two samples counts by what the thread used of the
processor meanwhile, where the system says so; elsewhere a thread that waits counts nothing.
"""

import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple, Self

from thvideo.cli.boundary import main

_EVERY_S = 0.005

#: Threads of libraries, and programs such as ffmpeg, have no Python stack.
LIBRARIES, PROGRAMS = "(threads of libraries)", "(other programs)"

_ROOT = Path(__file__).resolve().parents[2]
_TASKS = Path("/proc/self/task")
# Where a thread stands while it waits for another.
_WAITS = ("threading.py", "queue.py", "selectors.py", "_base.py", "thread.py", "subprocess.py")

_STAGES = ("extract", "track", "embed", "finetune", "reenact", "composite", "compare")
_WORK_FOR = {
    "stages/footage.py:": "track",
    "video/write.py:write_crop_chunk": "reenact",
    "video/write.py:encode_chunk": "composite",
    "imaging/blend.py:": "composite",
}

Stack = tuple[str, ...]


class Sampler:
    """Samples all threads but its own inside a ``with`` block.

    Attributes:
        seconds: Of the processor, by stack: the thread's name, then its frames from the outermost.
    """

    def __init__(self) -> None:
        self.seconds: Counter[Stack] = Counter()
        self._used: dict[int, float] = {}
        self._own_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and add what has no Python stack."""
        self._stopped.set()
        self._thread.join()
        own, programs = (
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        if _TASKS.is_dir():
            sampled_s = sum(self.seconds.values()) + self._own_s
            self.seconds[LIBRARIES,] = max(0.0, own - sampled_s)
        self.seconds[PROGRAMS,] = programs

    def _work(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            threads = {thread.ident: thread for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                thread = threads.get(ident)
                if thread is not None and thread is not self._thread:
                    used_s = self._used_since(thread, frame)
                    if used_s > 0:
                        self.seconds[thread.name, *_names(frame)] += used_s
        self._own_s = time.thread_time()

    def _used_since(self, thread: threading.Thread, frame: FrameType) -> float:
        """Return the processor's seconds of a thread since its last sample."""
        if not _TASKS.is_dir():
            return 0.0 if Path(frame.f_code.co_filename).name in _WAITS else _EVERY_S
        assert thread.native_id is not None  # it has begun: it has frames
        try:
            now_s = int((_TASKS / f"{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
        except (OSError, ValueError):
            return 0.0
        before_s, self._used[thread.native_id] = self._used.get(thread.native_id, 0.0), now_s
        # A number that was another thread's may be given anew.
        return now_s - before_s if now_s >= before_s else now_s


def _names(frame: FrameType | None) -> Stack:
    names: list[str] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        file = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else Path(*path.parts[-2:])
        names.append(f"{file.as_posix()}:{frame.f_code.co_qualname}".replace(";", ","))
        frame = frame.f_back
    return tuple(reversed(names))


def write_collapsed(seconds: Mapping[Stack, float], path: Path) -> None:
    """Write stacks for flame graphs, microseconds behind each."""
    lines = [f"{';'.join(stack)} {round(used_s * 1e6)}" for stack, used_s in seconds.items()]
    path.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")


def read_collapsed(path: Path) -> dict[Stack, float]:
    """Read what `write_collapsed` wrote, in seconds."""
    pairs = (line.rpartition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {tuple(stack.split(";")): int(used) / 1e6 for stack, _, used in pairs}


class Share(NamedTuple):
    """The processor's seconds of a stage in one function of thvideo and all that it calls."""

    stage: str
    function: str
    seconds: float


def shares_of(seconds: Mapping[Stack, float]) -> list[Share]:
    """Add up stacks by stage and by thvideo's innermost function, the largest first."""
    found: Counter[tuple[str, str]] = Counter()
    for stack, used_s in seconds.items():
        own = [name for name in stack if name.startswith("thvideo/")]
        inner = own[-1].removeprefix("thvideo/") if own else stack[0]
        found[_stage_of(stack), inner] += used_s
    return [Share(*place, used_s) for place, used_s in found.most_common()]


def _stage_of(stack: Stack) -> str:
    """Say for which stage a thread works."""
    for name in stack:
        place = name.removeprefix("thvideo/stages/")
        if place != name and (stage := place.partition(".py:")[0]) in _STAGES:
            return stage
    # Threads that work for a stage have no frame of the stage itself.
    for name in stack:
        for start, stage in _WORK_FOR.items():
            if name.startswith(f"thvideo/{start}"):
                return stage
    return "beside the stages"


if __name__ == "__main__":
    with Sampler() as sampler:
        code = main(sys.argv[2:])
    write_collapsed(sampler.seconds, Path(sys.argv[1]))
    sys.exit(code)
