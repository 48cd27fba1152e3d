"""Whatever is wrong is said in a line and a hint, with the right exit code and no traceback."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.test_prepare import DRIVER
from thvideo.errors import ExitCode

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Bad:
    """A command line with something wrong in it; ``{m}`` is the folder of test files."""

    name: str
    line: str
    code: ExitCode
    says: str


GOOD = "reenact --source {m}/noise.png --driver {m}/pattern.mp4 -o out.mp4"
TABLE = [
    Bad("no command of that name", "renact", ExitCode.USAGE, "reenact"),
    Bad("a mistyped option", "reenact --sorce x", ExitCode.USAGE, "--source"),
    Bad("an option without its value", "reenact --source", ExitCode.USAGE, "--source"),
    Bad("nothing given", "reenact", ExitCode.USAGE, "--source and --driver and --output"),
    Bad("no file to track", "track", ExitCode.USAGE, "files"),
    Bad("a word for a number", f"{GOOD} --crf fine", ExitCode.USAGE, "whole number"),
    Bad("an unknown choice", f"{GOOD} --motion relativ", ExitCode.USAGE, "'relative'"),
    Bad("a quality out of range", f"{GOOD} --crf 99", ExitCode.USAGE, "between 0 and 51"),
    Bad("an absurd size", f"{GOOD} --max-side 3", ExitCode.USAGE, "between 64 and 8192"),
    Bad("a negative strength", f"{GOOD} --mouth=-1", ExitCode.USAGE, "between 0 and 3"),
    Bad("a strength that is no number", f"{GOOD} --mouth nan", ExitCode.USAGE, "--mouth"),
    Bad("a negative batch", f"{GOOD} --batch-size=-4", ExitCode.USAGE, "--batch-size"),
    Bad("a face of no kind", f"{GOOD} --face biggest", ExitCode.USAGE, "largest"),
    Bad("two choices of a face", f"{GOOD} --face left --face-like {{m}}/noise.png",
        ExitCode.USAGE, "--face-like"),
    Bad("a mistyped stage", f"{GOOD} --force compsite", ExitCode.USAGE, "'composite'"),
    Bad("an unknown preset", f"{GOOD} --recipe paintng", ExitCode.USAGE, "'paintng'"),
    Bad("an unknown extension", GOOD.replace("out.mp4", "out.xyz"), ExitCode.USAGE, ".webm"),
    Bad("an output without extension", GOOD.replace("out.mp4", "out"), ExitCode.USAGE, ".mp4"),
    Bad("a missing source", GOOD.replace("noise.png", "nose.png"), ExitCode.INPUT,
        "does not exist"),
    Bad("a missing driver", GOOD.replace("pattern.mp4", "patern.mp4"), ExitCode.INPUT,
        "does not exist"),
    Bad("a folder as source", GOOD.replace("/noise.png", ""), ExitCode.INPUT, "is a folder"),
    Bad("an empty driver", GOOD.replace("pattern", "empty"), ExitCode.INPUT, "is empty"),
    Bad("sound without a picture", "extract {m}/sound_only.m4a", ExitCode.INPUT, "no picture"),
    Bad("a text as video", "extract {m}/text.mp4", ExitCode.INPUT, "text.mp4"),
    Bad("a broken picture", "extract {m}/broken.jpg", ExitCode.INPUT, "broken.jpg"),
    Bad("a cut-off video", "extract {m}/truncated.mp4", ExitCode.INPUT, "truncated.mp4"),
    Bad("a missing sound", f"{GOOD} --audio song.mp3", ExitCode.INPUT, "song.mp3"),
    Bad("a text as sound", f"{GOOD} --audio {{m}}/text.mp4", ExitCode.INPUT, "is not sound"),
    Bad("a silent video as sound", f"{GOOD} --audio {{m}}/pattern.mp4", ExitCode.INPUT,
        "has no sound"),
    Bad("an output folder that is not there", GOOD.replace("out.mp4", "no/where/out.mp4"),
        ExitCode.WORKSPACE, "no/where"),
    Bad("a workspace inside a file", f"{GOOD} --workspace {{m}}/noise.png/w",
        ExitCode.WORKSPACE, "noise.png"),
    Bad("a workspace that is not there", "workspace ls", ExitCode.WORKSPACE, ".thvideo"),
    Bad("a size to keep that is none", "workspace gc --keep much", ExitCode.USAGE, "'much'"),
    Bad("composite before reenact", GOOD.replace("reenact", "composite"), ExitCode.USAGE,
        "extract source 1"),
]  # fmt: skip


def explained(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the error and the hint, after checking that there is nothing else."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    lines = [line for line in lines if line.startswith(("error: ", "hint: "))] or lines
    assert len(lines) == 2, done.stderr
    error, hint = lines
    assert error.startswith("error: "), done.stderr
    assert hint.startswith("hint: "), done.stderr
    assert "Traceback" not in done.stderr
    return error, hint


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_a_fault_is_said_in_a_line_and_a_hint(bad: Bad, thvideo: Run, media: Path) -> None:
    done = thvideo(*(part.format(m=media) for part in bad.line.split()))
    error, hint = explained(done)
    assert done.returncode == bad.code, done.stderr
    assert bad.says in f"{error}\n{hint}"
    assert done.stdout == ""


def test_an_output_that_is_an_input_is_refused_and_the_input_stays(
    thvideo: Run, media: Path, tmp_path: Path
) -> None:
    driver = tmp_path / "driver.mp4"
    driver.write_bytes((media / "pattern.mp4").read_bytes())
    (tmp_path / "link.mp4").symlink_to(driver)
    for output in (driver, tmp_path / "link.mp4", tmp_path / "." / "driver.mp4"):
        done = thvideo("reenact", "--source", media / "noise.png", "--driver", driver, "-o", output)
        error, _ = explained(done)
        assert done.returncode == ExitCode.USAGE
        assert "the same file as the driver" in error
    assert driver.read_bytes() == (media / "pattern.mp4").read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_known_before_anything_runs(
    thvideo: Run, media: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    files = ("--source", media / "noise.png", "--driver", media / "pattern.mp4")
    done = thvideo("reenact", *files, "-o", locked / "out.mp4")
    assert done.returncode == ExitCode.WORKSPACE
    assert "cannot be written" in explained(done)[0]
    assert not list(tmp_path.glob(".thvideo/artifacts/*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("command", ["extract {f}", "reenact --source {f} --driver {f} -o o.mp4"])
def test_a_file_that_may_not_be_read_is_an_input_error(
    thvideo: Run, tmp_path: Path, command: str
) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"frames")
    secret.chmod(0)
    done = thvideo(*command.format(f=secret).split())
    assert done.returncode == ExitCode.INPUT
    assert "cannot be read (Permission denied)" in explained(done)[0]


def test_a_name_with_markup_spaces_and_control_characters_is_shown_as_it_is(
    thvideo: Run, media: Path
) -> None:
    done = thvideo("extract", "[red]a  b\x1b[2J[/red].mp4")
    error, _ = explained(done)
    assert "[red]a" in error
    assert "[/red].mp4" in error
    assert "\x1b" not in done.stderr


def test_a_long_line_is_not_wrapped(thvideo: Run) -> None:
    name = "long/" * 40 + "name.mp4"
    done = thvideo("extract", name, COLUMNS="80")
    assert name in explained(done)[0]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["source", "driver"])
def test_a_picture_without_a_face_is_an_input_error(
    which: str, thvideo: Run, media: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("skimage")
    from PIL import Image
    from skimage import data

    Image.fromarray(data.astronaut()).save(tmp_path / "face.png")
    # They are tracked side by side: the other one has a face.
    source, driver = tmp_path / "face.png", media / "sky.mp4"
    if which == "source":
        source, driver = media / "sky.png", DRIVER
    done = thvideo("reenact", "--source", source, "--driver", driver, "-o", "out.mp4")
    error, _ = explained(done)
    assert done.returncode == ExitCode.INPUT
    assert re.search("face", error)
    assert ("sky.png" if which == "source" else "sky.mp4") in error
    assert not (tmp_path / "out.mp4").exists()
    again = thvideo("workspace", "ls", "--json")
    assert '"stage": "extract"' in again.stdout, "what was made before the fault is kept"


def test_an_unknown_device_is_a_device_error(thvideo: Run, media: Path) -> None:
    done = thvideo("track", media / "noise.png", "--device", "tpu")
    error, _ = explained(done)
    assert done.returncode == ExitCode.DEVICE
    assert "tpu" in error


def test_a_preview_never_replaces_its_input(thvideo: Run, media: Path, tmp_path: Path) -> None:
    picture = tmp_path / "noise.png"
    picture.write_bytes((media / "noise.png").read_bytes())
    done = thvideo("track", picture, "--preview", "./noise.png")
    assert done.returncode == ExitCode.USAGE
    assert "same file" in explained(done)[0]
    assert picture.read_bytes() == (media / "noise.png").read_bytes()


def test_an_empty_variable_is_as_good_as_none(thvideo: Run, media: Path, tmp_path: Path) -> None:
    assert thvideo("extract", media / "noise.png", THVIDEO_WORKSPACE="").returncode == 0
    assert (tmp_path / ".thvideo" / "artifacts").is_dir()
