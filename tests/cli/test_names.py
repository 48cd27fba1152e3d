"""A file may have any name that its system can hold; a name that it cannot is said in a line."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_bad_input import explained
from thvideo.cli import boundary
from thvideo.cli.console import one_line
from thvideo.cli.render import as_json
from thvideo.errors import ExitCode, InputError

Run = Callable[..., subprocess.CompletedProcess[str]]

# What Latin-1 calls é: a name that is bytes, and no text in UTF-8.
NO_TEXT = os.fsdecode(b"caf\xe9.mp4")


def test_a_name_that_is_no_text_is_read_and_told(thvideo: Run, media: Path, tmp_path: Path) -> None:
    driver = tmp_path / NO_TEXT
    try:
        driver.write_bytes((media / "pattern.mp4").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    folder = tmp_path / os.fsdecode(b"w\xe9")
    done = thvideo("extract", driver, "--json", "--workspace", folder)
    assert done.returncode == ExitCode.OK, done.stderr
    for line in done.stdout.splitlines():
        json.loads(line.encode())
    assert thvideo("extract", driver, "--workspace", folder).stderr == "extract source 1: reused\n"
    listed = thvideo("workspace", "ls", "--workspace", folder)
    assert "caf\\xe9.mp4" in listed.stdout


def test_a_missing_file_of_such_a_name_is_said_in_a_line(thvideo: Run) -> None:
    done = thvideo("extract", NO_TEXT)
    assert done.returncode == ExitCode.INPUT
    assert "caf\\xe9.mp4 does not exist" in explained(done)[0]


def test_the_report_of_a_fault_takes_such_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(given: list[str]) -> int:
        raise ZeroDivisionError(given[0])

    monkeypatch.setattr(boundary, "_run", fail)
    monkeypatch.setattr(boundary.tempfile, "gettempdir", lambda: str(tmp_path))
    assert boundary.main([NO_TEXT]) == ExitCode.BUG
    assert "caf\\xe9.mp4" in capsys.readouterr().err
    (report,) = tmp_path.glob("thvideo-bug-*.txt")
    assert "Traceback" in report.read_text(encoding="utf-8")


def test_lines_show_the_bytes_that_are_no_text() -> None:
    assert one_line(f"{NO_TEXT}\tis né") == "caf\\xe9.mp4 is né"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_json_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdout:
        pass

    Stdout.encoding = encoding  # type: ignore[attr-defined]
    monkeypatch.setattr("sys.stdout", Stdout())
    values = {"name": NO_TEXT, "other": "né ☃"}
    text = as_json(values)
    assert json.loads(text.encode(encoding, "backslashreplace").decode(encoding)) == values


@pytest.mark.parametrize(
    "options",
    [
        ("--weights", "x" * 300),
        ("--recipe", "x" * 300),
        ("--workspace", "x" * 300),
        ("-o", "x" * 251 + ".mp4"),
        ("-o", "x" * 245 + ".mp4", "--compare"),
        ("-o", "x" * 300 + ".mp4"),
    ],
)
def test_a_name_that_is_too_long_is_refused_before_anything_is_made(
    options: tuple[str, ...], thvideo: Run, media: Path, tmp_path: Path
) -> None:
    files = ("--source", media / "noise.png", "--driver", media / "pattern.mp4", "-o", "o.mp4")
    done = thvideo("reenact", *files, *options)
    assert done.returncode in (ExitCode.USAGE, ExitCode.WORKSPACE), done.stderr
    assert "too long" in explained(done)[0]
    assert not list(tmp_path.glob(".thvideo/artifacts/*"))


@pytest.mark.parametrize(
    ("option", "code"),
    [("--source", ExitCode.INPUT), ("--driver", ExitCode.INPUT), ("-o", ExitCode.USAGE)],
)
def test_links_in_a_circle_are_refused(
    option: str, code: ExitCode, thvideo: Run, media: Path, tmp_path: Path
) -> None:
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    files = {"--source": media / "noise.png", "--driver": media / "pattern.mp4", "-o": "o.mp4"}
    files[option] = loop
    done = thvideo("reenact", *(part for pair in files.items() for part in pair))
    assert done.returncode == code, done.stderr
    assert "loop.mp4" in explained(done)[0]
    assert loop.is_symlink()


def test_an_input_error_names_a_link_that_leads_nowhere(thvideo: Run, tmp_path: Path) -> None:
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    done = thvideo("extract", tmp_path / "gone.mp4")
    assert done.returncode == InputError.exit_code
    assert "is a link to nothing" in explained(done)[0]
