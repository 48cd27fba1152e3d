"""Runs the command line as a person does: in a process of its own."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.cli_process import environment
from thvideo.video.ffmpeg import ffmpeg_path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def thvideo(tmp_path: Path) -> Run:
    """Run ``thvideo`` with arguments in an empty folder."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "thvideo", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def make_media(path: Path, arguments: Sequence[str]) -> Path:
    """Make a test file with ffmpeg."""
    command = [ffmpeg_path(), "-hide_banner", "-loglevel", "error", "-y", *arguments, path]
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small files: usable ones, and each kind of unusable one."""
    folder = tmp_path_factory.mktemp("media")
    Image.effect_noise((160, 120), 60).convert("RGB").save(folder / "noise.png")
    Image.linear_gradient("L").convert("RGB").save(folder / "sky.png")
    picture = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1"]
    sound = ["-f", "lavfi", "-i", "sine=duration=1"]
    make_media(folder / "pattern.mp4", [*picture, "-pix_fmt", "yuv420p"])
    sky = ["-f", "lavfi", "-i", "color=steelblue:size=160x120:rate=25:duration=0.4"]
    make_media(folder / "sky.mp4", [*sky, "-pix_fmt", "yuv420p"])
    make_media(folder / "sound_only.m4a", sound)
    (folder / "empty.mp4").touch()
    whole = (folder / "pattern.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "text.mp4").write_text("this is no video\n" * 50, encoding="utf-8")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    return folder
