"""``thvideo doctor`` tries what a run needs and says what to do."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from thvideo.cli import checks, doctor
from thvideo.cli.checks import Check, Finding
from thvideo.errors import StageError
from thvideo.synthesis.auto_precision import LEAST_GAIN

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [check.name for check in checks.checks(None, None)]


def test_every_check_reports_and_a_failure_is_the_exit_code(thvideo: Run) -> None:
    done = thvideo("doctor", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(line["name"] for line in lines)) == NAMES
    failed = [line for line in lines if line["status"] == "fail"]
    assert done.returncode == (1 if failed else 0)
    assert all(line["hint"] for line in lines if line["status"] != "ok")
    working = {line["name"] for line in lines if line["status"] == "ok"}
    assert {"python", "packages", "torch", "ffmpeg", "h264", "workspace"} <= working


def test_an_ffmpeg_that_does_not_run_is_found(thvideo: Run, tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    done = thvideo("doctor", THVIDEO_FFMPEG=str(broken))
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if " ffmpeg " in line)
    assert line.startswith("fail")
    assert str(broken) in line


def test_a_device_that_is_not_there_is_a_failure_with_advice(thvideo: Run) -> None:
    done = thvideo("doctor", "--device", "cuda:99", "--json")
    device = next(
        line for line in map(json.loads, done.stdout.splitlines()) if line["name"] == "device"
    )
    assert device["status"] == "fail"
    assert "--device" in device["hint"]


def test_each_device_of_a_list_is_tried(thvideo: Run) -> None:
    done = thvideo("doctor", "--device", "cpu,cpu", "--json")
    lines = map(json.loads, done.stdout.splitlines())
    assert [line["status"] for line in lines if line["name"] == "device"] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("error", "hint"),
    [(StageError("no ffmpeg", hint="get one"), "get one"), (OSError("torn"), "the usual")],
)
def test_whatever_a_check_raises_is_its_finding(error: Exception, hint: str) -> None:
    def torn() -> list[Finding]:
        raise error

    (finding,) = doctor._tried(Check("something", torn, "the usual"))
    assert (finding.status, finding.hint) == ("fail", hint)


def test_little_space_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (finding,) = checks._workspace(tmp_path)
    assert finding.status == "ok"
    monkeypatch.setattr(checks, "_LOW_SPACE_BYTES", 1e18)
    (finding,) = checks._workspace(tmp_path / "not" / "there")
    assert finding.status == "warn"
    assert list(tmp_path.iterdir()) == []


def test_what_auto_takes_is_measured_remembered_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THVIDEO_PRECISION")
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path))
    [check] = [check for check in checks.checks(None, "cpu") if check.name == "precision"]
    [first], [again] = check.try_it(), check.try_it()
    assert first == again
    [remembered] = tmp_path.iterdir()
    assert str(remembered) in first.text
    speed = json.loads(remembered.read_text())["bf16_speed"]
    taken = "bf16" if speed >= LEAST_GAIN else "fp32"
    assert first.text.startswith(f"auto takes {taken}: bf16 is {speed:.2g} times as fast as fp32")
