"""``thvideo workspace`` shows, checks and cleans what is kept."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from thvideo.cli.workspace import parse_size
from thvideo.errors import ExitCode, UsageError

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def filled(thvideo: Run, media: Path, tmp_path: Path) -> Path:
    """A workspace with two extracted files."""
    done = thvideo("extract", media / "noise.png", media / "pattern.mp4")
    assert done.returncode == 0, done.stderr
    return tmp_path / ".thvideo"


def listed(thvideo: Run) -> list[dict[str, str]]:
    return [json.loads(line) for line in thvideo("workspace", "ls", "--json").stdout.splitlines()]


def test_ls_names_every_artifact_and_the_file_it_came_from(thvideo: Run, filled: Path) -> None:
    lines = thvideo("workspace", "ls").stdout.splitlines()
    assert lines[0].split() == ["key", "stage", "size", "used", "from"]
    assert sorted(line.split()[-1] for line in lines[1:3]) == ["noise.png", "pattern.mp4"]
    assert lines[-1].startswith("2 artifacts, ")


def test_the_workspace_may_come_from_the_environment(
    thvideo: Run, filled: Path, tmp_path: Path
) -> None:
    moved = filled.rename(tmp_path / "elsewhere")
    assert thvideo("workspace", "ls").returncode == ExitCode.WORKSPACE
    assert "2 artifacts" in thvideo("workspace", "ls", THVIDEO_WORKSPACE=str(moved)).stdout


def test_show_takes_the_beginning_of_a_key(thvideo: Run, filled: Path) -> None:
    key = listed(thvideo)[0]["key"]
    done = thvideo("workspace", "show", key[:10])
    assert key in done.stdout
    assert "max_picture_side" in done.stdout
    wrong = thvideo("workspace", "show", "zzz")
    assert wrong.returncode == ExitCode.WORKSPACE
    assert "'zzz'" in wrong.stderr


def test_verify_finds_a_changed_byte_and_sets_it_aside(thvideo: Run, filled: Path) -> None:
    assert thvideo("workspace", "verify").returncode == 0
    picture = next(filled.glob("artifacts/extract/*/*.png"))
    content = bytearray(picture.read_bytes())
    content[-30] ^= 1
    picture.write_bytes(content)
    found = thvideo("workspace", "verify")
    assert found.returncode == ExitCode.WORKSPACE
    assert picture.name in found.stdout
    assert "--set-aside" in found.stderr
    assert thvideo("workspace", "verify", "--set-aside").returncode == 0
    assert len(listed(thvideo)) == 1


def test_gc_says_first_and_removes_then(thvideo: Run, filled: Path) -> None:
    assert thvideo("workspace", "gc").stdout == "nothing to remove\n"
    assert "2 folders" in thvideo("workspace", "gc", "--all", "--dry-run").stdout
    assert len(listed(thvideo)) == 2
    assert "removed" in thvideo("workspace", "gc", "--all").stdout
    assert listed(thvideo) == []


def test_a_folder_of_other_things_is_never_taken_for_a_workspace(thvideo: Run, media: Path) -> None:
    done = thvideo("workspace", "gc", "--all", "--workspace", media)
    assert done.returncode == ExitCode.WORKSPACE
    assert (media / "noise.png").exists()
    assert not (media / "CACHEDIR.TAG").exists()


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("500MB", 5 * 10**8), ("1.5 GB", 15 * 10**8), ("20g", 2 * 10**10), ("12", 12), ("0", 0)],
)
def test_a_size_is_read_in_decimal_units(text: str, n_bytes: int) -> None:
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["much", "-1GB", "1PB", "", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_a_folder_where_a_lock_should_be_ends_with_a_line_and_the_right_code(
    thvideo: Run, filled: Path, media: Path
) -> None:
    (filled / "locks" / "workspace.lock").unlink()
    (filled / "locks" / "workspace.lock").mkdir()
    done = thvideo("extract", media / "sky.png")
    assert done.returncode == ExitCode.WORKSPACE
    assert "workspace.lock is a folder and no lock" in done.stderr
    assert "Traceback" not in done.stderr
