"""One place turns every way to fail into lines and an exit code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cli_process import environment
from thvideo.cli import boundary
from thvideo.errors import DeviceError, InputError, StageError, ThvideoError, WorkspaceError

Run = Callable[..., subprocess.CompletedProcess[str]]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(given: list[str]) -> int:
        raise error

    monkeypatch.setattr(boundary, "_run", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StageError("it broke", hint="mend it"), 1),
        (InputError("it broke", hint="mend it"), 3),
        (WorkspaceError("it broke", hint="mend it"), 4),
        (DeviceError("it broke", hint="mend it"), 5),
    ],
)
def test_an_error_is_its_fact_its_hint_and_its_code(
    error: ThvideoError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(monkeypatch, error)
    assert boundary.main([]) == code
    assert capsys.readouterr().err == "error: it broke\nhint: mend it\n"


def test_an_error_of_several_lines_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, StageError("it broke\n  here [bold]and\tthere[/bold]", hint="mend\nit"))
    boundary.main([])
    assert capsys.readouterr().err == "error: it broke here [bold]and there[/bold]\nhint: mend it\n"


@pytest.mark.parametrize("kind", [StageError, InputError, WorkspaceError, DeviceError])
def test_an_error_without_a_hint_gets_one(
    kind: type[ThvideoError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, kind("it broke"))
    boundary.main(["track"])
    assert "--verbose" in capsys.readouterr().err.splitlines()[1]


def test_a_bug_leaves_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(boundary.tempfile, "gettempdir", lambda: str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("by zero"))
    assert boundary.main(["reenact"]) == 70
    said = capsys.readouterr().err
    (report,) = tmp_path.glob("thvideo-bug-*.txt")
    assert said.startswith("error: a fault in thvideo: ZeroDivisionError: by zero\nhint: ")
    assert str(report) in said
    assert "Traceback" not in said
    assert "Traceback" in report.read_text(encoding="utf-8")
    assert report.stat().st_mode & 0o777 == 0o600


def test_fault_reports_have_names_that_nobody_can_guess(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(boundary.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(boundary.time, "strftime", lambda _: "20260101-000000")
    failing(monkeypatch, ZeroDivisionError("by zero"))
    for _ in range(2):
        boundary.main(["reenact"])
    endings = [path.stem.rpartition("-")[2] for path in tmp_path.glob("thvideo-bug-*.txt")]
    assert len(set(endings)) == 2
    assert all(len(ending) >= 8 and not ending.isdigit() for ending in endings)


def test_without_a_place_for_a_report_the_fault_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(boundary.tempfile, "gettempdir", lambda: str(tmp_path / "gone"))
    failing(monkeypatch, ZeroDivisionError("by zero"))
    assert boundary.main(["reenact"]) == 70
    assert "THVIDEO_DEBUG=1 shows the traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "debug"), [(["--verbose"], ""), ([], "1")])
def test_a_traceback_is_shown_to_whoever_asks(
    arguments: list[str],
    debug: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(boundary.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("THVIDEO_DEBUG", debug)
    failing(monkeypatch, ZeroDivisionError("by zero"))
    assert boundary.main(arguments) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path, thvideo: Run, media: Path) -> None:
    assert thvideo("extract", media / "noise.png").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "thvideo", "workspace", "ls"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


def test_json_tells_of_the_error_as_its_last_event(thvideo: Run, media: Path) -> None:
    done = thvideo("extract", media / "text.mp4", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "run_failed"
    assert events[-1]["exit_code"] == done.returncode == 3
    assert f"error: {events[-1]['error']}\n" in done.stderr


def test_a_terminal_that_lacks_a_character_gets_an_escape(thvideo: Run) -> None:
    done = thvideo("extract", "naïve ☃.mp4", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 3
    assert "\\u2603.mp4" in done.stderr
