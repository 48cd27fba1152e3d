"""``thvideo prepare`` as a person types it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.cli_process import REPOSITORY, environment
from tests.cli.conftest import Run, make_media
from thvideo.training.dataset import ClipTable, read_labels

DRIVER = REPOSITORY / "examples" / "driver.mp4"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people's folders, each with 32 frames of the example driver."""
    folder = tmp_path_factory.mktemp("people")
    for number, name in enumerate(("anna", "bert", "cora")):
        (folder / name).mkdir()
        cut = ["-ss", str(number), "-i", str(DRIVER), "-frames:v", "32", "-an", "-crf", "16"]
        make_media(folder / name / "talk.mp4", cut)
    return folder


def test_videos_become_a_dataset(thvideo: Run, people: Path, tmp_path: Path) -> None:
    arguments = ("prepare", people, "-o", "set", "--size", "128", "--fps", "15", "--workers", "2")
    done = thvideo(*arguments, "--val-share", "0.5", "--split-seed", "1")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 videos gave clips" in done.stdout
    table = ClipTable(tmp_path / "set")
    people_of = {table[index].identity for index in range(len(table))}
    assert people_of == {"anna", "bert", "cora"}
    points = read_labels(tmp_path / "set", table[0]).points
    assert 40 < (points.max(axis=1) - points.min(axis=1)).max() < 80
    before = {p: p.read_bytes() for p in (tmp_path / "set").glob("*.*")}
    # Another processor would choose another arithmetic: a dataset keeps its own.
    other = {"fp32": "bf16", "bf16": "fp32"}[
        json.loads(before[tmp_path / "set" / "prepare.json"])["precision"]
    ]
    options = ("--val-share", "0.5", "--split-seed", "1", "--json")
    again = thvideo(*arguments, *options, THVIDEO_PRECISION=other)
    assert {p: p.read_bytes() for p in (tmp_path / "set").glob("*.*")} == before
    last = json.loads(again.stdout.splitlines()[-1])
    assert (last["event"], last["videos_used"]) == ("prepared", 3)


def test_a_folder_where_the_lock_should_be_is_named(
    thvideo: Run, people: Path, tmp_path: Path
) -> None:
    (tmp_path / "set" / ".lock").mkdir(parents=True)
    done = thvideo("prepare", people, "-o", "set")
    assert done.returncode == 4
    # Versions of the library that locks differ in whether they tell the whole path.
    assert re.match(r"error: \S*set/\.lock cannot be used", done.stderr)


def test_ctrl_c_keeps_finished_videos_and_blames_no_video(people: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "set"
    process = subprocess.Popen(
        [sys.executable, "-m", "thvideo", "prepare", people, "-o", dataset, "--workers", "1"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end_s = time.monotonic() + 150
    while not list((dataset / "records").rglob("*.json")):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    # A terminal sends the signal to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: finished parts are kept" in said
    records = [json.loads(p.read_text()) for p in (dataset / "records").rglob("*.json")]
    assert 1 <= len(records) < 3
    assert all(record["clips"] and not record["rejects"] for record in records)


def test_a_dataset_without_a_clip_is_a_failure(thvideo: Run, media: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "sky.mp4").symlink_to(media / "sky.mp4")
    (tmp_path / "videos" / "text.mp4").symlink_to(media / "text.mp4")
    done = thvideo("prepare", "videos", "-o", "set")
    assert done.returncode == 1
    assert "rejected: 1 no face, 1 unreadable" in done.stdout
    assert "no clip was made of 2 videos" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "fact"),
    [
        (("videos",), 2, "no folder to write"),
        (("videos", "-o", "set", "--min-face", "9cm"), 2, "--min-face cannot be '9cm'"),
        (("videos", "-o", "set", "--size", "100"), 2, "a multiple of 32"),
        (("videos", "-o", "set", "--workers", "-1"), 2, "--workers cannot be -1"),
        (("videos", "-o", "set", "--val-share", "7"), 2, "--val-share cannot be 7"),
        (("absent", "-o", "set"), 3, "absent is not a folder"),
        (("videos", "-o", "set"), 3, "there is no video in videos"),
    ],
)
def test_wrong_input_is_explained(
    thvideo: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, fact: str
) -> None:
    (tmp_path / "videos").mkdir()
    done = thvideo("prepare", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert fact in done.stderr
