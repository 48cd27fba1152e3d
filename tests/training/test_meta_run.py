"""Runs on drawn faces: they learn, resume exactly, stop when asked, and export."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from tests.training.drawn_faces import (
    ADVERSARIAL,
    QUICK,
    SIZE_PX,
    SMALL_PAPER,
    SMALL_SWIFT,
    small_options,
)
from tests.training.small_runs import HERE, NEVER, QUIET, begun, made, of_kind
from thvideo.errors import UsageError
from thvideo.models.presets import ModelOptions
from thvideo.training.clip_source import CachedClips
from thvideo.training.meta import MetaRun
from thvideo.training.meta_events import Saved, Stopped, Trained, Validated
from thvideo.training.meta_export import export_run
from thvideo.training.meta_options import Budget, Every, HowToRun
from thvideo.training.run_folder import RunFolder, weights_to_begin_with
from thvideo.weights.load import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_short_run_learns_what_no_draft_shows_and_is_exported(
    drawn: Path, tmp_path: Path
) -> None:
    options = small_options(drawn, **QUICK)
    run = MetaRun(tmp_path / "run", options, HERE, SMALL_SWIFT)
    run.begin()
    events = list(run.run(Budget(steps=50, validate=Every(steps=25))))
    first, *_, last = [event.values for event in of_kind(events, Validated)]
    # It starts near the draft; measured: 0.905 of its error on mouths and eyes is left.
    assert last["region_l1"] < 0.94 * last["warp_region_l1"]
    assert last["region_l1"] < first["region_l1"]
    assert first["warp_l1"] == last["warp_l1"]

    target = tmp_path / "toy.safetensors"
    card = export_run(tmp_path / "run", target, "last", said={"use": "tests"})
    assert card["steps"] == 50
    assert card["size_px"] == SIZE_PX
    assert card["measured"]["region_l1"] == pytest.approx(last["region_l1"], abs=1e-5)
    parts, _ = load_weights(tmp_path / "toy.safetensors", "swift")
    wanted = run.learner.averaged.generator.state_dict()
    assert parts["generator"].keys() == wanted.keys()
    torch.testing.assert_close(parts["generator"], dict(wanted), atol=2e-3, rtol=2e-3)

    again = MetaRun(tmp_path / "second", options, HERE, SMALL_SWIFT)
    tensors, models = weights_to_begin_with(str(tmp_path / "toy.safetensors"))
    assert models == SMALL_SWIFT
    again.begin(tensors)
    events = list(again.run(Budget(steps=1)))
    assert of_kind(events, Validated)[-1].values["region_l1"] < 0.94 * last["warp_region_l1"]


@pytest.mark.parametrize("models", [SMALL_SWIFT, SMALL_PAPER], ids=["swift", "paper"])
def test_a_resumed_run_ends_with_the_same_bits(
    drawn: Path, tmp_path: Path, models: ModelOptions
) -> None:
    list(begun(drawn, tmp_path / "whole", models).run(Budget(steps=6, **QUIET)))
    list(begun(drawn, tmp_path / "parts", models).run(Budget(steps=3, **QUIET)))
    resumed = made(drawn, tmp_path / "parts", models)
    resumed.resume()
    assert resumed.learner.step == 3
    events = list(resumed.run(Budget(steps=6, **QUIET)))
    assert {"hinge", "feature_matching"} <= of_kind(events, Trained)[-1].values.keys()
    for name in ("weights", "training"):
        files = [tmp_path / run / "last" / f"{name}.safetensors" for run in ("whole", "parts")]
        whole, parts = map(load_file, files)
        assert whole.keys() == parts.keys()
        different = [key for key in whole if not torch.equal(whole[key], parts[key])]
        assert different == []
    assert any(key.startswith("adam_columns.") for key in parts)


def test_batches_made_ahead_by_processes_are_the_same(drawn: Path, tmp_path: Path) -> None:
    lines = []
    # Processes that begin after this one has computed: they must not wait for its threads.
    for workers in (0, 2):
        how = HowToRun(torch.device("cpu"), workers=workers)
        run = MetaRun(
            tmp_path / str(workers), small_options(drawn, **ADVERSARIAL), how, SMALL_SWIFT
        )
        run.begin()
        lines.append(of_kind(list(run.run(Budget(steps=3, **QUIET))), Trained)[-1].values)
    assert lines[0] == lines[1]


def test_frames_that_do_not_fit_into_memory_are_streamed(drawn: Path, tmp_path: Path) -> None:
    lines = []
    for cache_bytes in (0, 1 << 30):
        how = HowToRun(torch.device("cpu"), workers=0, cache_bytes=cache_bytes)
        folder = tmp_path / str(cache_bytes)
        run = MetaRun(folder, small_options(drawn, **ADVERSARIAL), how, SMALL_SWIFT)
        run.begin()
        lines.append(of_kind(list(run.run(Budget(steps=1, **QUIET))), Trained)[-1].values)
    assert lines[0] == lines[1]


def test_sizes_follow_each_other(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run", sizes=((64, 2), (96, 0)), adversarial_from=99)
    events = list(run.run(Budget(steps=3, save=NEVER, validate=Every(steps=1))))
    assert [(e.step, e.size_px) for e in of_kind(events, Trained)] == [(2, 64), (3, 96)]
    # The first of every size is the best of its size.
    assert of_kind(events, Validated)[-1].is_best
    state = json.loads((tmp_path / "run" / "last" / "state.json").read_text())
    assert state["validated_px"] == 96


def test_a_run_saves_keeps_and_stops_when_asked(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run")
    asked = iter([False, False, False, True])
    budget = Budget(steps=9, save=Every(steps=2), validate=NEVER, keep=Every(steps=3))
    events = list(run.run(budget, lambda: next(asked)))
    assert events[-1] == Stopped(4)
    saved = [(event.step, event.folder.name) for event in of_kind(events, Saved)]
    assert saved == [(0, "last"), (2, "last"), (3, "step-3"), (4, "last")]
    assert RunFolder(tmp_path / "run").read_options() == (
        small_options(drawn, **ADVERSARIAL),
        SMALL_SWIFT,
    )
    with pytest.raises(UsageError, match="holds a run already"):
        begun(drawn, tmp_path / "run")


def test_time_ends_a_run(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run")
    events = list(run.run(Budget(seconds=1e-3, **QUIET)))
    assert of_kind(events, Trained)[-1].step == 1
    assert of_kind(events, Validated)


def test_accumulated_parts_give_the_gradients_of_the_whole(drawn: Path, tmp_path: Path) -> None:
    values = []
    for accumulate in (1, 2):
        run = begun(drawn, tmp_path / str(accumulate), accumulate=accumulate)
        values.append(of_kind(list(run.run(Budget(steps=1, **QUIET))), Trained)[-1].values)
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_tensorboard_is_told_where_it_is_installed(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "run" / "board")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, step))

        def add_image(self, name: str, image: object, step: int, dataformats: str) -> None:
            assert image.shape[-1] == 3  # type: ignore[attr-defined]
            told.append((name, step))

    board = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    list(begun(drawn, tmp_path / "run").run(Budget(steps=1, **QUIET)))
    assert {("l1", 1), ("val/ssim", 1), ("preview", 1), ("samples_per_s", 1)} <= set(told)


def test_a_run_that_goes_on_at_a_later_size_decodes_no_other(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"sizes": ((64, 1), (96, 0)), "adversarial_from": 99}
    list(begun(drawn, tmp_path / "run", **sizes).run(Budget(steps=2, **QUIET)))
    decoded: list[int] = []

    class Noting(CachedClips):
        def __init__(self, streamed, lengths, size_px: int) -> None:
            decoded.append(size_px)
            super().__init__(streamed, lengths, size_px)

    monkeypatch.setattr("thvideo.training.episodes.CachedClips", Noting)
    resumed = made(drawn, tmp_path / "run", **sizes)
    resumed.resume()
    list(resumed.run(Budget(steps=3, **QUIET)))
    assert decoded == [96]
