"""``thvideo weights`` lists, shows, checks, fetches and exports."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.weights.loopback import CONTENT, SHA256, Server, serving
from thvideo.cli.boundary import main
from thvideo.errors import ExitCode
from thvideo.weights.load import load_weights
from thvideo.weights.sources import Source

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Serve the only public weights there are, called ``made``."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path / "cache"))
    with serving() as state:
        made = Source("made", "a test", "w.pth", (state.url,), "none", sha256=SHA256)
        for module in ("thvideo.weights.sources", "thvideo.cli.weights"):
            monkeypatch.setattr(f"{module}.SOURCES", (made,))
        yield state


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "best"
    folder.mkdir(parents=True)
    weights = {f"{part}.weight": torch.ones(3) for part in ("embedder", "generator")}
    save_file(weights, folder / "weights.safetensors")
    (folder / "state.json").write_text(json.dumps({"step": 12}))
    options = {"data": "clips", "sizes": [[64, 0]], "perceptual": []}
    written = {"options": options, "models": {"preset": "swift"}, "draw_style": 1}
    (folder.parent / "options.json").write_text(json.dumps(written))
    return folder.parent


def test_ls_names_what_ships_and_what_can_be_fetched(thvideo: Run, tmp_path: Path) -> None:
    done = thvideo("weights", "ls", THVIDEO_CACHE=str(tmp_path))
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert "shipped" in lines["tracker_landmarks"] and "4.7 MB" in lines["tracker_landmarks"]
    assert "to fetch" in lines["vgg19"]
    assert str(tmp_path / "weights") in done.stdout


def test_show_prints_the_card_of_a_name_or_a_file(thvideo: Run, tmp_path: Path) -> None:
    shown = thvideo("weights", "show", "tracker_landmarks").stdout
    assert "clips_mean" in shown and "Research use only" in shown
    card = json.loads(thvideo("weights", "show", "tracker_landmarks", "--json").stdout)
    again = json.loads(thvideo("weights", "show", card["file"], "--json").stdout)
    assert again == card
    missing = thvideo("weights", "show", tmp_path / "no.safetensors")
    assert missing.returncode == ExitCode.INPUT
    assert "thvideo weights ls" in missing.stderr
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(card["file"]).read_bytes()[:-1000])
    shown = thvideo("weights", "show", cut)
    assert (shown.returncode, shown.stdout) == (ExitCode.INPUT, "")
    assert "damaged" in shown.stderr
    shown = thvideo("weights", "show", tmp_path)
    assert "is a folder" in shown.stderr and "thvideo weights export" in shown.stderr


def test_verify_finds_the_damaged_one_among_the_whole(thvideo: Run, tmp_path: Path) -> None:
    assert thvideo("weights", "verify", THVIDEO_CACHE=str(tmp_path)).returncode == 0
    card = json.loads(thvideo("weights", "show", "tracker_detector", "--json").stdout)
    content = bytearray(Path(card["file"]).read_bytes())
    content[-1] ^= 1
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(content)
    broken.with_suffix(".json").write_text(json.dumps(card))
    done = thvideo("weights", "verify", "tracker_detector", broken)
    assert done.returncode == ExitCode.INPUT
    whole, damaged = done.stdout.splitlines()
    assert whole.split() == ["tracker_detector", "whole"]
    assert str(broken) in damaged and "damaged" in damaged
    assert "1 weight of 2" in done.stderr


def test_fetch_tells_where_the_file_is_and_json_tells_progress(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "made", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "fetching" and events[-2]["done_bytes"] == len(CONTENT)
    path = tmp_path / "cache" / "weights" / "w.pth"
    assert events[-1]["event"] == "fetched" and events[-1]["path"] == str(path)
    assert path.read_bytes() == CONTENT
    assert main(["weights", "fetch", "made"]) == 0
    assert capsys.readouterr().out == f"made  is at {path}\n"
    assert main(["weights", "ls"]) == 0
    assert "fetched" in capsys.readouterr().out
    path.write_bytes(b"cut")
    assert main(["weights", "verify"]) == ExitCode.INPUT
    assert "thvideo weights fetch made" in capsys.readouterr().err


def test_fetch_explains_what_fails(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.status = 404
    assert main(["weights", "fetch", "made"]) == ExitCode.INPUT
    told = capsys.readouterr().err
    assert "404" in told and server.url in told.partition("hint")[2]
    assert main(["weights", "fetch", "other"]) == ExitCode.USAGE
    assert "made" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["abc", SHA256[:63], "0" * 64])
def test_a_digest_that_is_none_or_another_is_refused(
    given: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "made", "--sha256", given]) == ExitCode.USAGE
    assert "sha" in capsys.readouterr().err.lower()
    assert server.ranges == []
    assert main(["weights", "fetch", "made", "--sha256", SHA256.upper()]) == 0


def test_export_writes_what_can_be_loaded_and_asks_for_the_licence(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mine.safetensors"
    assert main(["weights", "export", str(run_folder), "-o", str(target)]) == 0
    told = capsys.readouterr().out
    assert "swift, 12 steps" in told and "--use" in told
    arguments = ["weights", "export", str(run_folder), "-o", str(target), "--use", "CC0", "--json"]
    assert main([*arguments, "--data", "2 clips"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["use"], card["data"]) == ("CC0", "2 clips")
    assert load_weights(target)[1]["use"] == "CC0"
    assert main(["weights", "verify", str(target)]) == 0


def test_export_explains_what_fails(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "export", str(run_folder)]) == ExitCode.USAGE
    target = str(tmp_path / "w.safetensors")
    failing = ["weights", "export", str(run_folder), "-o", target, "--checkpoint", "last"]
    assert main(failing) == ExitCode.INPUT
    assert "--checkpoint best" in capsys.readouterr().err
