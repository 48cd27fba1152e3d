"""One place turns every way to fail into lines and an exit code."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cli_process import environment
from thvideo.cli import boundary
from thvideo.errors import (
    DeviceError,
    ExitCode,
    InputError,
    StageError,
    ThvideoError,
    WorkspaceError,
)

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


def started(arguments: str, folder: Path) -> tuple[int, str]:
    """Run a shell line in which ``thvideo`` is the command; return its code and its errors."""
    line = arguments.replace("thvideo", f"{sys.executable} -m thvideo", 1)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", ["--help", "--version", "weights ls", "reenact --help"])
def test_output_that_cannot_be_written_is_no_fault(command: str, tmp_path: Path) -> None:
    code, said = started(f"thvideo {command} >/dev/full", tmp_path)
    assert code == ExitCode.WORKSPACE
    assert said.startswith("error: what is printed cannot be written (No space left on device)\n")
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("thvideo --version >&-", 0),
        ("thvideo --help <&- >&- 2>&-", 0),
        ("thvideo workspace ls 2>&-", 4),
        ("thvideo workspace ls 2>/dev/full", 4),
        ("thvideo --help | true", 141),
        ("thvideo reenact --help | head -1 >/dev/null", 0),
    ],
)
def test_a_stream_that_leads_nowhere_changes_no_exit_code(
    line: str, code: int, tmp_path: Path
) -> None:
    found, said = started(line, tmp_path)
    # Whether head is gone before all is written is a matter of time.
    assert found == code or ("head" in line and found == 141)
    assert "Traceback" not in said


def test_a_closed_stream_is_not_the_next_file_that_is_opened(tmp_path: Path, media: Path) -> None:
    code, _ = started(f"thvideo extract {media / 'noise.png'} --json <&- >&- 2>&-", tmp_path)
    assert code == 0
    assert started("thvideo workspace verify", tmp_path)[0] == 0


MEMORY = (
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ImportError("libtorch_cpu.so: failed to map segment: Cannot allocate memory"),
)


@pytest.mark.parametrize("error", MEMORY, ids=repr)
def test_memory_that_ran_out_is_told_as_such(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, error)
    assert boundary.main([]) == ExitCode.DEVICE
    assert capsys.readouterr().err.startswith("error: there is not enough memory\nhint: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, 4), (errno.EIO, 4), (errno.EMFILE, 4), (errno.ENAMETOOLONG, 2)],
)
def test_what_the_system_refuses_is_no_fault_of_ours(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, OSError(number, os.strerror(number), "/a/file"))
    assert boundary.main([]) == code
    error, hint = capsys.readouterr().err.splitlines()
    assert "/a/file" in error and os.strerror(number) in error and hint


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds this limit")
@pytest.mark.parametrize("limit_mb", [1200, 2500])
def test_a_run_with_little_memory_ends_with_a_line(
    limit_mb: int, tmp_path: Path, media: Path
) -> None:
    line = f"ulimit -v {limit_mb * 1000}; thvideo track {media / 'sky.png'}"
    code, said = started(line, tmp_path)
    # Enough memory for the machine's own build of torch: then there is no face in the sky.
    assert code in (ExitCode.DEVICE, ExitCode.INPUT), said
    assert "a fault in thvideo" not in said and "Traceback" not in said


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
