"""What is done to a run. Each trial says what it did; a ``FaultFoundError`` what came of it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from recipes.torture.scene import FaultFoundError, Scene, ended

Trial = Callable[[Scene, Random], str]

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Of the undisturbed workspace: a disk of so much of it is full somewhere on the way.
_SHARES = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)


class SkippedError(Exception):
    """A trial that this machine does not allow, and why."""


def killed(scene: Scene, random: Random) -> str:
    """Kill a run a random while after a random event, its group or its parent alone."""
    scene.reset()
    events = scene.events
    number, wait_s = random.randrange(len(events)), random.uniform(0, 0.3)
    which, is_group = random.choice(_SIGNALS), random.random() < 0.5
    _kill(scene, number, wait_s, which, is_group=is_group)
    said = f"{which.name} to the {'group' if is_group else 'parent'}"
    scene.check_mended()
    return f"{said} {wait_s:.2f} s after event {number} ({' '.join(events[number]).strip()})"


def killed_twice(scene: Scene, random: Random) -> str:
    """Kill a run, and the one that goes on from it."""
    scene.reset()
    numbers = sorted(random.sample(range(len(scene.events)), 2), reverse=True)
    for number in numbers:
        _kill(scene, number, 0.0, random.choice(_SIGNALS), is_group=True)
    scene.check_mended()
    return f"killed after events {numbers[0]} and {numbers[1]}"


def _kill(
    scene: Scene, number: int, wait_s: float, which: signal.Signals, *, is_group: bool
) -> None:
    process = scene.start()
    assert process.stdout is not None  # start() pipes it
    for _ in range(number + 1):
        if not process.stdout.readline():
            break
    time.sleep(wait_s)
    with suppress(ProcessLookupError):
        (os.killpg if is_group else os.kill)(process.pid, which)
    scene.check_disturbed(ended(process))
    # Children of a parent that was killed alone end when they are written to or read no more.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def full_disk(scene: Scene, random: Random) -> str:
    """Let the disk of the workspace, of the output or of temporary files be full."""
    scene.reset()
    where = random.choice(("workspace", "out", "temporary"))
    folder: Path = getattr(scene, where)
    whole = scene.n_bytes if where == "workspace" else scene.n_output_bytes
    size = max(1, int(whole * random.choice(_SHARES)) >> 12)
    with small_disk(folder, size) as grow:
        done = scene.run()
        scene.check_disturbed(done)
        grow()
        scene.check_mended()
    return f"{size * 4} KiB for {where}: exit {done.code}"


@contextmanager
def small_disk(folder: Path, n_pages: int) -> Iterator[Callable[[], None]]:
    """Mount a small disk of memory; what is yielded makes it large.

    Raises:
        SkippedError: Nothing can be mounted.
    """
    mount = shutil.which("mount")
    size = ["-t", "tmpfs", "-o", f"size={n_pages * 4}k", "tmpfs", str(folder)]
    done = None
    if mount is not None:
        done = subprocess.run([mount, *size], capture_output=True, text=True, check=False)
    if mount is None or done is None or done.returncode:
        reason = "there is no mount" if done is None else done.stderr.strip()
        raise SkippedError(f"no small disk can be mounted here ({reason})")

    def grow() -> None:
        subprocess.run([mount, "-o", "remount,size=1g", str(folder)], check=True)

    try:
        yield grow
    finally:
        subprocess.run([str(Path(mount).with_name("umount")), "-l", str(folder)], check=True)


def _flip(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def _cut(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size + 1)])


def _lengthen(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes() + random.randbytes(7))


def _remove(path: Path, random: Random) -> None:
    path.unlink()


def _fold(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, random: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path, random: Random) -> None:
    path.unlink()
    path.symlink_to(random.choice(("/dev/zero", "/etc/passwd", "nowhere", path.name)))


def _nest(path: Path, random: Random) -> None:
    path.write_bytes(b"[" * 200_000)


_DAMAGES = (_flip, _flip, _cut, _lengthen, _remove, _fold, _pipe, _link, _nest)


def damaged(scene: Scene, random: Random) -> str:
    """Damage files of finished artifacts, and want the video anew."""
    scene.check_mended()
    said = _damage(scene, random, sorted((scene.workspace / "artifacts").glob("*/*/*")))
    scene.output.unlink(missing_ok=True)
    if random.random() < 0.5:
        # All that the last stage uses is used again.
        shutil.rmtree(scene.workspace / "artifacts" / "composite")
        said += ", composite removed"
    scene.check_mended(is_verified=False)
    scene.run("--set-aside", command="workspace verify")
    scene.check_mended()
    return said


def damaged_unfinished(scene: Scene, random: Random) -> str:
    """Damage what an interrupted run left."""
    scene.reset()
    # Frames of a chunk are told of before it is whole: two events later one is more likely there.
    progress = [i for i, (event, _) in enumerate(scene.events) if event == "node_progress"]
    number = random.choice(progress) + random.randint(0, 1)
    _kill(scene, number, 0.0, signal.SIGKILL, is_group=True)
    parts = sorted(path for path in (scene.workspace / "partial").glob("*/*") if path.is_file())
    said = f"after event {number}: " + (_damage(scene, random, parts) if parts else "nothing left")
    scene.check_mended()
    return said


def damaged_beside(scene: Scene, random: Random) -> str:
    """Damage what is beside the artifacts: locks, lists of keys, remembered digests."""
    scene.check_mended()
    beside = [path for name in ("locks", "digests") for path in (scene.workspace / name).iterdir()]
    path = random.choice(sorted(beside))
    damage = random.choice((_flip, _cut, _lengthen, _remove, _nest))
    damage(path, random)
    scene.output.unlink(missing_ok=True)
    scene.check_mended()
    return f"{damage.__name__} of {path.relative_to(scene.workspace)}"


def _damage(scene: Scene, random: Random, paths: list[Path]) -> str:
    done = []
    for path in random.sample(paths, min(len(paths), random.randint(1, 2))):
        damage = random.choice(_DAMAGES)
        damage(path, random)
        done.append(f"{damage.__name__} of {path.parent.parent.name}/{path.name}")
    return ", ".join(done)


def side_by_side(scene: Scene, random: Random) -> str:
    """Run twice at once, while somebody collects garbage, verifies and lists."""
    scene.reset()
    (scene.workspace / "CACHEDIR.TAG").touch()
    runs = [scene.start() for _ in range(2)]
    n_asked = 0
    while any(process.poll() is None for process in runs):
        more = random.choice((("gc", "--all"), ("gc",), ("verify",), ("ls",)))
        done = scene.run(*more[1:], command=f"workspace {more[0]}")
        n_asked += 1
        if done.code != 0:
            raise FaultFoundError(f"workspace {' '.join(more)} says {done.code}: {done.said}")
    for process in runs:
        done = ended(process)
        if done.code != 0:
            raise FaultFoundError(f"one of two runs ended with {done.code}: {done.said}")
    scene.check_mended()
    return f"two runs, and {n_asked} looks at their workspace"


TRIALS: dict[str, Trial] = {
    trial.__name__.replace("_", " "): trial
    for trial in (
        killed,
        damaged_unfinished,
        full_disk,
        damaged,
        side_by_side,
        killed_twice,
        damaged_beside,
    )
}
