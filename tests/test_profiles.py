"""Profiles say where the time goes: by stage and function, by operation, by part of a step."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recipes.bench import sampling, traces
from recipes.bench.__main__ import EXAMPLES, main
from recipes.bench.sampling import Sampler, read_collapsed, shares_of, write_collapsed
from tests.test_bench import SMALL, short_driver
from tests.training.drawn_faces import write_drawn_faces
from thvideo.training.batch import Batch
from thvideo.training.episodes import Episodes
from thvideo.training.labels import PARTS
from thvideo.training.meta_options import HowToRun


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn_faces(tmp_path_factory.mktemp("drawn") / "set")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few and small steps."""
    monkeypatch.setattr(traces, "STEPS", dict.fromkeys(("paper", "swift"), traces.Steps(2, 1, 3)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trace_of(path: Path) -> set[str]:
    """Return the names of all events of a trace."""
    with gzip.open(path, "rt") as file:
        return {event.get("name", "") for event in json.load(file)["traceEvents"]}


def works_hard(until_s: float) -> None:
    while time.thread_time() < until_s:
        sum(range(1000))


def test_a_thread_that_works_has_the_time_and_one_that_waits_has_none() -> None:
    done = threading.Event()
    waiting = threading.Thread(target=done.wait, name="waiting")
    working = threading.Thread(target=works_hard, args=(0.3,), name="working")
    with Sampler() as sampler:
        waiting.start()
        working.start()
        working.join()
        done.set()
        waiting.join()
    by_thread = {"working": 0.0, "waiting": 0.0}
    for stack, used_s in sampler.seconds.items():
        if stack[0] in by_thread:
            by_thread[stack[0]] += used_s
    assert by_thread["working"] > 0.1
    assert by_thread["waiting"] < 0.05
    mine = [stack for stack in sampler.seconds if stack[0] == "working"]
    assert any(stack[-1] == "tests/test_profiles.py:works_hard" for stack in mine)
    assert not any(stack[0] == "sampler" for stack in sampler.seconds)


def test_stacks_are_written_as_flame_graphs_want_them(tmp_path: Path) -> None:
    file = tmp_path / "stacks"
    write_collapsed({("MainThread", "a.py:f", "b.py:g h"): 0.25, ("(x)",): 1.0}, file)
    assert file.read_text() == "(x) 1000000\nMainThread;a.py:f;b.py:g h 250000\n"
    assert read_collapsed(file) == {("MainThread", "a.py:f", "b.py:g h"): 0.25, ("(x)",): 1.0}


def test_time_goes_to_the_stage_and_to_thvideos_innermost_function() -> None:
    track = ("MainThread", "thvideo/stages/track.py:Track.run", "thvideo/models/net.py:Net.forward")
    seconds = {
        (*track, "nn/conv.py:forward"): 2.0,
        (*track, "nn/linear.py:forward"): 1.0,
        # A thread of a pool, and one that feeds an encoder: neither has a frame of the stage.
        ("pool_0", "futures/thread.py:_worker", "thvideo/imaging/blend.py:_paste_one"): 0.5,
        ("encode", "thvideo/stages/streaming.py:fed", "thvideo/video/write.py:encode_chunk"): 0.25,
        (sampling.PROGRAMS,): 4.0,
    }
    assert shares_of(seconds) == [
        ("beside the stages", sampling.PROGRAMS, 4.0),
        ("track", "models/net.py:Net.forward", 3.0),
        ("composite", "imaging/blend.py:_paste_one", 0.5),
        ("composite", "video/write.py:encode_chunk", 0.25),
    ]


@pytest.mark.usefixtures("brief")
def test_steps_and_networks_are_traced(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["--only", "training", "--only", "models", "--data", str(drawn)]
    assert main([*ask, "--profile", str(tmp_path / "out")], SMALL) == 0
    table = (tmp_path / "out" / "profile.txt").read_text()
    for preset in SMALL:
        names = trace_of(tmp_path / "out" / f"training-{preset}.json.gz")
        assert {"load", "forward", "backward", "update"} <= names
        assert f"training, {preset}, 64 pixels, 2 at once" in table
        for part in ("generator", "embedder"):
            [large] = (tmp_path / "out").glob(f"models-{preset}-{part}-*-8.json.gz")
            assert "aten::conv2d" in trace_of(large)
    assert "swift generator" in capsys.readouterr().out


@pytest.mark.usefixtures("brief")
def test_a_slow_loader_is_seen_in_the_share_of_loading(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shares() -> dict[str, float]:
        options = traces.options_of("swift", drawn, 64, {})
        parts = traces.trace_training(
            options, SMALL["swift"], torch.device("cpu"), tmp_path / "trace.json"
        )
        return {part.name: part.share for part in parts}

    # Batches made ahead, beside a step, would hide it where steps are slow.
    monkeypatch.setattr(traces, "HowToRun", lambda device, workers: HowToRun(device, workers=0))
    usual = shares()
    assert set(usual) == {*PARTS, traces.REST}
    assert sum(usual.values()) == pytest.approx(1)
    assert all(share >= 0 for share in usual.values())
    real = Episodes.batch

    def slow(self: Episodes, number: int, part: range) -> Batch:
        time.sleep(1.0)
        return real(self, number, part)

    monkeypatch.setattr(Episodes, "batch", slow)
    assert shares()["load"] > usual["load"]


def test_the_whole_command_is_profiled(tmp_path: Path) -> None:
    files = [str(EXAMPLES / "painting.jpg"), str(short_driver(tmp_path))]
    ask = ["--only", "pipeline", "--generator", "warp", "--profile", str(tmp_path / "out")]
    assert main([*files, *ask], SMALL) == 0
    shares = shares_of(read_collapsed(tmp_path / "out" / "pipeline.collapsed"))
    assert {"track", "embed", "reenact", "composite"} <= {share.stage for share in shares}
    assert "reenact" in (tmp_path / "out" / "profile.txt").read_text()
