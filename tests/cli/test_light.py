"""What needs no pictures loads no heavy library, and is there at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.cli_process import environment

HEAVY = ("torch", "cv2", "scipy", "skimage", "moviepy", "imageio_ffmpeg")
SHOW = """
import sys
from thvideo.cli.boundary import main
code = main(sys.argv[1:])
print("loaded", *sorted(set(sys.modules) & set({heavy})), file=sys.stderr)
sys.exit(code)
"""


def loaded(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(heavy=HEAVY), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("loaded"))
    return done.returncode, line.split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("reenact", "--help"),
        ("workspace", "--help"),
        ("prepare", "--help"),
        ("evaluate", "--help"),
        ("weights", "ls"),
    ],
)
def test_help_and_lists_load_no_heavy_library(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert loaded(tmp_path, *arguments) == (0, [])


def test_plan_loads_no_heavy_library(tmp_path: Path, media: Path) -> None:
    files = ("--source", str(media / "noise.png"), "--driver", str(media / "pattern.mp4"))
    assert loaded(tmp_path, "plan", *files, "-o", "out.mp4") == (0, [])


def test_a_cached_rerun_loads_no_heavy_library(tmp_path: Path, media: Path) -> None:
    arguments = ("extract", str(media / "noise.png"))
    loaded(tmp_path, *arguments)
    assert loaded(tmp_path, *arguments) == (0, [])


def test_help_is_there_at_once(tmp_path: Path) -> None:
    import resource

    def used_s() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    spent = []
    for _ in range(3):
        before_s, started_s = used_s(), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "thvideo", "--help"],
            cwd=tmp_path,
            env=environment(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # Other processes on a busy machine stretch the clock but not the work.
        spent.append(min(used_s() - before_s, time.monotonic() - started_s))
    assert min(spent) < 0.8


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_person_says_otherwise(
    given: str | None, policy: str
) -> None:
    show = "import os, sys, thvideo.__main__; print(os.environ['OMP_WAIT_POLICY'], *sys.modules)"
    variables = {k: v for k, v in environment().items() if k != "OMP_WAIT_POLICY"}
    variables |= {"OMP_WAIT_POLICY": given} if given else {}
    printed = subprocess.run(
        [sys.executable, "-c", show], env=variables, capture_output=True, text=True, check=True
    ).stdout.split()
    assert printed[0] == policy
    assert "torch" not in printed  # it would have read the variable before
