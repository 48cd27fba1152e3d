"""What needs no pictures loads no heavy library, and help loads no command."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.cli.cli_process import environment
from thvideo.cli.app import ENTRIES, Entry

HEAVY = ("torch", "cv2", "scipy", "skimage", "moviepy", "imageio_ffmpeg")
SHOW = """
import sys
from thvideo.cli.boundary import main
code = main(sys.argv[1:])
print("loaded", *sorted(set(sys.modules) & set({heavy})), file=sys.stderr)
sys.exit(code)
"""


def loaded(
    folder: Path, *arguments: str, names: tuple[str, ...] = HEAVY, **env: str
) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(heavy=names), *arguments],
        cwd=folder,
        env=environment(**env),
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


def test_what_auto_takes_is_looked_up_without_a_heavy_library(tmp_path: Path, media: Path) -> None:
    cache = tmp_path / "cache"
    there = {"THVIDEO_PRECISION": "", "THVIDEO_CACHE": str(cache)}
    files = ("--source", str(media / "noise.png"), "--driver", str(media / "pattern.mp4"))
    arguments = ("plan", *files, "-o", "out.mp4")
    assert "torch" in loaded(tmp_path, *arguments, **there)[1]
    assert loaded(tmp_path, *arguments, **there) == (0, [])


def test_a_cached_rerun_loads_no_heavy_library(tmp_path: Path, media: Path) -> None:
    arguments = ("extract", str(media / "noise.png"))
    loaded(tmp_path, *arguments)
    assert loaded(tmp_path, *arguments) == (0, [])


@pytest.mark.parametrize("arguments", [("--help",), (), ("--version",)])
def test_the_list_of_commands_loads_no_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    unused = ("numpy", "thvideo.cli.options", "thvideo.pipeline", "thvideo.weights")
    assert loaded(tmp_path, *arguments, names=unused) == (0, [])


def test_help_loads_no_pydantic(tmp_path: Path) -> None:
    assert loaded(tmp_path, "--help", names=("pydantic",)) == (0, [])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_list_of_commands_says_what_a_command_says_of_itself(entry: Entry) -> None:
    found = entry.load()
    command = found.registered_callback.callback if isinstance(found, typer.Typer) else found
    first, *_ = (inspect.getdoc(command) or "").split("\n\n")
    assert " ".join(first.split()) == entry.summary


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


def test_nothing_is_looked_for_in_what_is_left_at_the_end() -> None:
    show = "import gc, sys, thvideo.__main__ as m; m.main(); print(gc.get_freeze_count())"
    printed = subprocess.run(
        [sys.executable, "-c", show, "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert int(printed[-1]) > 0


def test_another_output_of_what_is_drawn_needs_no_pytorch() -> None:
    show = """
import sys
import thvideo.imaging.blend, thvideo.synthesis.identity, thvideo.video.drift, thvideo.video.write
print(*sys.modules)
"""
    printed = subprocess.run(
        [sys.executable, "-c", show], env=environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert "cv2" in printed
    assert "torch" not in printed
