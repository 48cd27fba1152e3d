"""The bench: everything has its turn in every round, ratios hold, and an earlier run is a bar."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.bench import models, pipeline, rounds
from recipes.bench.__main__ import EXAMPLES, main
from recipes.bench.rounds import Probe, Quantity, figures_of, looped, rounds_of
from tests.training.drawn_faces import SMALL_PAPER, SMALL_SWIFT
from thvideo.stages.reenact import drawing_threads
from thvideo.video.ffmpeg import ffmpeg_path

SMALL = {"paper": SMALL_PAPER, "swift": SMALL_SWIFT}


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of one call each, and convolutions that take no time."""
    monkeypatch.setattr(rounds, "TURN_S", 0.0)
    tiny = (models.Convolution(1, 8, 8), models.Convolution(2, 4, 8))
    monkeypatch.setattr(models, "CONVOLUTIONS", tiny)
    monkeypatch.setattr(models, "PATIENCE_S", 0.05)
    # Elsewhere it stays on for the process.
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: None)


def run(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    file = folder / "now.json"
    assert main([*arguments, "--json", str(file)], SMALL) == code
    return json.loads(file.read_text())


@pytest.mark.usefixtures("brief")
def test_networks_are_measured_in_both_arithmetics_and_against_the_peak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, "--only", "models", "--rounds", "1")
    figures = {figure["name"]: figure for figure in done["figures"]}
    assert {
        f"{what}, {precision}, {batch} at once"
        for what in (
            *(f"{preset} {part}" for preset in SMALL for part in ("generator", "embedder")),
        )
        for precision in ("fp32", "bf16")
        for batch in (1, 8)
    } | {
        f"shipped swift, {what}, {precision}, {batch} at once"
        for what in ("networks at 128 px", "whole frames of 256 px")
        for precision in ("fp32", "bf16")
        for batch in (1, 8 * drawing_threads("cpu"))
    } <= set(figures) | {line.split(": emulated")[0] for line in done["left_out"]}
    assert done["baseline"] == models.BASELINE
    assert set(figures[models.BASELINE]["ratio"].values()) == {1.0}
    for figure in figures.values():
        assert figure["seconds"]["least"] <= figure["seconds"]["median"]
        assert figure["seconds"]["median"] <= figure["seconds"]["greatest"]
        has_bf16 = models.multiplies_bf16(torch.device("cpu"))
        assert figure["is_emulated"] == (figure["precision"] == "bf16" and not has_bf16)
        peak = done["peak_gflop_s"][figure["precision"]]
        share = figure["gflop"] / figure["seconds"]["median"] / peak
        assert figure["share_of_peak"] == pytest.approx(share)
        if figure["unit"] == "convolution":
            assert share <= 1
    printed = capsys.readouterr().out
    assert "LivePortrait" in printed
    assert "another day" in printed


@pytest.mark.usefixtures("brief")
def test_training_is_measured_and_what_is_left_out_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, "--only", "training", "--rounds", "1")
    assert [figure["name"].split(",")[0] for figure in done["figures"]] == [
        "paper generator",
        "paper",
        "swift",
    ]
    assert any("vggface" in line for line in done["left_out"])
    printed = capsys.readouterr().out
    assert "--perceptual vggface=FILE" in printed
    assert "The networks" not in printed


@pytest.mark.usefixtures("brief")
def test_an_earlier_run_is_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ("--only", "training", "--rounds", "1")
    then = run(tmp_path, *ask)
    for figure in then["figures"]:
        cheap = figure["name"].startswith("swift")
        figure["ratio"] = dict.fromkeys(figure["ratio"], 1e-9 if cheap else 1e9)
    saved = tmp_path / "then.json"
    saved.write_text(json.dumps(then))
    now = run(tmp_path, *ask, "--baseline", str(saved), code=1)
    assert [(each["name"][:5], each["verdict"]) for each in now["changes"]] == [
        ("swift", "costs more")
    ]
    assert "costs more: swift" in capsys.readouterr().out


def test_rounds_alternate_and_ratios_are_taken_within_a_round() -> None:
    turns: list[str] = []
    one, two, slow = (Quantity("models", name, "frame") for name in ("one", "two", "slow"))
    seconds = {one: iter((1.0, 10.0, 2.0)), two: iter((3.0, 30.0, 6.0)), slow: iter((5.0,))}

    def probe(quantity: Quantity, is_slow: bool = False) -> Probe:
        def read() -> dict[Quantity, float]:
            turns.append(quantity.name)
            return {quantity: next(seconds[quantity])}

        return Probe(read, is_slow)

    done = list(rounds_of([probe(one), probe(two), probe(slow, is_slow=True)], 3))
    assert turns == ["one", "two", "slow", "one", "two", "one", "two"]
    figures = {figure.quantity.name: figure for figure in figures_of(done, one)}
    # A round that was ten times slower changes no ratio.
    assert figures["two"].ratio == (3.0, 3.0, 3.0)
    assert figures["two"].seconds == (6.0, 3.0, 30.0)
    assert figures["slow"].ratio == (5.0, 5.0, 5.0)


@pytest.mark.usefixtures("brief")
def test_what_is_emulated_is_called_once_and_the_rest_once_more_to_warm_up() -> None:
    calls: list[str] = []
    for is_emulated in (False, True):
        name = "emulated" if is_emulated else "plain"
        quantity = Quantity("models", name, "frame", is_emulated=is_emulated)
        turn = looped(quantity, lambda name=name: calls.append(name))
        turn.read()
        assert turn.is_slow == is_emulated
    assert calls == ["plain", "plain", "emulated"]


def test_stages_that_draw_frames_are_counted_by_frame() -> None:
    seconds = {"ffmpeg alone": 2.0, "embed": 3.0, "track-driver": 4.0, "whole command": 20.0}
    readings = {each.name: (each, s) for each, s in pipeline.readings_of(seconds, 10).items()}
    assert readings["track-driver"][1] == pytest.approx(0.4)
    assert readings["track-driver"][0].in_all == 10
    assert readings["embed"][1] == 3.0
    assert readings["embed"][0].unit == "run"


def test_the_pipeline_is_timed_by_the_clock_and_by_the_processor(tmp_path: Path) -> None:
    asked = pipeline.Asked(EXAMPLES / "painting.jpg", short_driver(tmp_path), finetune_steps=1)
    seconds, n_frames = pipeline.time_thvideo(asked, tmp_path)
    assert n_frames == 4
    together = seconds["reenact and composite"]
    # Side by side: they take less than one after the other, and not less than either.
    assert max(seconds["reenact"], seconds["composite"]) <= together < seconds["whole command"]
    assert seconds["until the first frame is composed"] < seconds["whole command"]
    # More than one of its threads may run at once, but not more than there are cores.
    cpu_s = seconds["whole command, processor time"]
    assert 0 < cpu_s <= (os.cpu_count() or 1) * seconds["whole command"]
    cached = seconds["the same again, cached, processor time"]
    assert cached < cpu_s
    learned = "fine-tune on the source"
    assert seconds[f"{learned}, processor time"] > 0
    units = {q.name: q.unit for q in pipeline.readings_of(seconds, n_frames)}
    assert (units[learned], units["thvideo --help"], units["reenact"]) == ("run", "run", "frame")


def short_driver(folder: Path) -> Path:
    path = folder / "short.mp4"
    args = ["-loglevel", "error", "-i", str(EXAMPLES / "driver.mp4"), "-frames:v", "4", "-an"]
    subprocess.run([str(ffmpeg_path()), *args, str(path)], check=True)
    return path
