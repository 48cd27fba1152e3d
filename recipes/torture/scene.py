"""A small reenactment that can be run again and again, and what must be true after each run."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thvideo.video.ffmpeg import ffmpeg_path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_REPOSITORY = Path(__file__).resolve().parents[2]
N_FRAMES = 10
#: Longer than any run here takes on a busy machine: whoever is not back by then hangs.
PATIENCE_S = 300

#: What a run may say that could not be finished: stopped, no disk, or killed.
_EXPLAINED = {0, 4, 130, 143, -signal.SIGKILL, -signal.SIGHUP, -signal.SIGTERM, -signal.SIGINT}


class FaultFoundError(Exception):
    """Something is not as it must be."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    said: str


class Scene:
    """A folder with inputs, a workspace and an output.

    Args:
        folder: Where; made anew.
        options: Of ``thvideo reenact``, beside files.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder, self.options = folder, tuple(options)
        self.workspace, self.out = folder / "ws", folder / "out"
        self.output, self.temporary = self.out / "o.mp4", folder / "tmp"
        for each in (self.out, self.temporary):
            each.mkdir(parents=True)
        _make(EXAMPLES / "driver.mp4", folder / "d.mp4", "scale=200:-2", N_FRAMES)
        _make(EXAMPLES / "painting.jpg", folder / "p.png", "scale=320:-2", 1)
        self.reference = ""
        #: Of the undisturbed run: names and nodes of its events, bytes of workspace and output.
        self.events: list[tuple[str, str]] = []
        self.n_bytes = self.n_output_bytes = 0

    def start(self, *more: str, command: str = "reenact") -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its events come as JSON lines."""
        files = ()
        if command == "reenact":
            files = ("-s", "p.png", "-d", "d.mp4", "-o", str(self.output), *self.options)
        arguments = [*command.split(), *files, "--workspace", str(self.workspace), "--json", *more]
        names = [name for name in os.environ if name.startswith("THVIDEO_")]
        kept = {name: value for name, value in os.environ.items() if name not in names}
        return subprocess.Popen(
            [sys.executable, "-m", "recipes.torture.child", *arguments],
            cwd=self.folder,
            env=kept | {"PYTHONPATH": str(_REPOSITORY), "TMPDIR": str(self.temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *more: str, command: str = "reenact") -> Ended:
        """Run a command to its end."""
        return ended(self.start(*more, command=command))

    def make_reference(self) -> None:
        """Run once undisturbed, and keep what came of it."""
        done = self.run()
        if done.code != 0:
            raise FaultFoundError(f"the undisturbed run ended with {done.code}: {done.said}")
        self.reference = digest(self.output)
        told = [json.loads(line) for line in done.said.splitlines() if line.startswith("{")]
        self.events = [(event["event"], event.get("id", "")) for event in told]
        made = [path for path in self.workspace.rglob("*") if path.is_file()]
        self.n_bytes = sum(path.stat().st_size for path in made)
        self.n_output_bytes = self.output.stat().st_size

    def reset(self) -> None:
        """Forget all that was made."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        self.workspace.mkdir(exist_ok=True)
        for path in self.out.iterdir():
            path.unlink()

    def check_disturbed(self, done: Ended) -> None:
        """Check how a disturbed run may end, and what it may have delivered."""
        if done.code not in _EXPLAINED or "Traceback" in done.said:
            raise FaultFoundError(f"it ended with {done.code}: {done.said}")
        self._check_output()

    def check_mended(self, *, is_verified: bool = True) -> None:
        """Run again; all must be as if nothing had happened, and nothing be left over."""
        done = self.run()
        if done.code != 0:
            raise FaultFoundError(f"the run after it ended with {done.code}: {done.said}")
        if not self.output.is_file():
            raise FaultFoundError("the run after it delivered nothing")
        self._check_output()
        if is_verified:
            verified = self.run(command="workspace verify")
            if verified.code != 0:
                raise FaultFoundError(f"verify says {verified.code}: {verified.said}")
        left = [path for path in self._leftovers() if path.exists()]
        if left:
            raise FaultFoundError(f"left over: {', '.join(map(str, left))}")

    def _check_output(self) -> None:
        if self.output.exists() and digest(self.output) != self.reference:
            raise FaultFoundError("another video was delivered than the undisturbed one")

    def _leftovers(self) -> list[Path]:
        found = [*self.out.iterdir(), *self.temporary.iterdir()]
        found += [*(self.workspace / "runs").iterdir(), *self.workspace.rglob(".t*")]
        found += (self.workspace / "partial").iterdir()
        return [path for path in found if path.name not in ("o.mp4", "o.json")]


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a command."""
    try:
        out, error = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise FaultFoundError(f"it still ran after {PATIENCE_S} s") from None
    return Ended(process.returncode, out + error)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make(source: Path, target: Path, filters: str, n_frames: int) -> None:
    limits = ["-frames:v", str(n_frames), "-t", "0.4"]
    command = [str(ffmpeg_path()), "-v", "error", "-y", "-i", str(source), "-vf", filters]
    subprocess.run([*command, *limits, str(target)], check=True, stdin=subprocess.DEVNULL)
