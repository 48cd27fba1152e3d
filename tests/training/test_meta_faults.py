"""Runs that go wrong: rolled back once, told, and never on another dataset's clips."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.drawn_faces import (
    ADVERSARIAL,
    SMALL_PAPER,
    SMALL_SWIFT,
    small_options,
)
from tests.training.small_runs import HERE, NEVER, QUIET, begun, made, of_kind
from thvideo.errors import InputError, StageError, UsageError, WorkspaceError
from thvideo.training.learner import Learner
from thvideo.training.meta import COLUMNS, MetaRun
from thvideo.training.meta_events import RolledBack, Validated
from thvideo.training.meta_export import export_run
from thvideo.training.meta_options import Budget, Every, HowToRun
from thvideo.training.processes import Processes
from thvideo.training.run_folder import RunFolder, weights_to_begin_with

pytestmark = pytest.mark.usefixtures("one_thread")


def spoiled(run: MetaRun, spoil: Callable[[Learner], None], *at: int) -> None:
    """Spoil the networks before the calls of these numbers."""
    train, calls = run.learner.train, iter(range(10**6))

    def spoiling(parts):
        if next(calls) in at:
            spoil(run.learner)
        return train(parts)

    run.learner.train = spoiling


def put_nan(learner: Learner) -> None:
    with torch.no_grad():
        learner.networks.generator.stem.weight[0] = torch.nan


def put_white(learner: Learner) -> None:
    with torch.no_grad():
        learner.averaged.generator.last.bias += 9.0


def test_a_number_that_is_none_rolls_back_once(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run")
    spoiled(run, put_nan, 3)
    events = list(run.run(Budget(steps=5, save=Every(steps=2), validate=NEVER)))
    (rolled,) = of_kind(events, RolledBack)
    assert rolled.step == 2
    assert "step 4" in rolled.reason
    assert "nan" in rolled.reason
    assert run.learner.step == 5
    assert all(value.isfinite().all() for value in run.learner.weights().values())
    assert '"rolled_back"' in (tmp_path / "run" / "metrics.jsonl").read_text()
    # Slower from now on, and so after a resume.
    resumed = made(drawn, tmp_path / "run")
    resumed.resume()
    assert resumed.learner.rate_scale == 0.5


def test_a_second_fault_ends_the_run(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run")
    spoiled(run, put_nan, 2, 4)
    events = []
    with pytest.raises(StageError, match="training went wrong at step 4"):
        events.extend(run.run(Budget(steps=5, save=Every(steps=2), validate=NEVER)))


def test_a_collapse_goes_back_to_the_best(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run", adversarial_from=99)
    spoiled(run, put_white, 3)
    events = list(run.run(Budget(steps=5, save=NEVER, validate=Every(steps=2))))
    (rolled,) = of_kind(events, RolledBack)
    assert rolled.step == 2
    assert "validation went from" in rolled.reason
    assert run.learner.step == 5
    assert max(event.values["l1"] for event in of_kind(events, Validated)) < 0.2


def test_a_collapse_at_the_end_is_told_and_the_best_stays(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run", adversarial_from=99)
    spoiled(run, put_nan, 1)
    spoiled(run, put_white, 4)
    events = list(run.run(Budget(steps=4, save=NEVER, validate=Every(steps=2))))
    # Rolled back once already: a collapse in the middle would end the run as failed.
    assert len(of_kind(events, RolledBack)) == 1
    first, last = of_kind(events, Validated)
    assert (first.is_best, last.is_best) == (True, False)
    assert (run.learner.step, last.values["l1"] > 0.2) == (4, True)
    state = json.loads((tmp_path / "run" / "best" / "state.json").read_text())
    assert state["step"] == first.step


def test_a_validation_that_is_no_number_is_never_the_best(drawn: Path, tmp_path: Path) -> None:
    run = begun(drawn, tmp_path / "run", adversarial_from=99)
    with torch.no_grad():
        run.learner.averaged.generator.last.bias += torch.nan
    (event,) = of_kind(list(run.run(Budget(steps=1, **QUIET))), Validated)
    assert not event.is_best
    assert not (tmp_path / "run" / "best").exists()


def other_clips(drawn: Path, root: Path) -> Path:
    """As many clips as the drawn ones, of other names."""
    root.mkdir()
    (root / "clips").mkdir()
    (root / "clips" / "more").symlink_to(drawn / "clips")
    header, *lines = (drawn / "clips.tsv").read_text().splitlines(keepends=True)
    (root / "clips.tsv").write_text("".join([header, *(f"more/{line}" for line in lines)]))
    return root


def test_columns_of_w_stay_with_their_clips(drawn: Path, tmp_path: Path) -> None:
    list(begun(drawn, tmp_path / "run").run(Budget(steps=3, **QUIET)))
    weights, _ = weights_to_begin_with(str(tmp_path / "run" / "last"))
    others = other_clips(drawn, tmp_path / "others")
    for data, is_same in ((drawn, True), (others, False)):
        run = made(data, tmp_path / f"from {data.name}", seed=1)
        fresh = run.learner.networks.discriminator.columns.weight.clone()
        run.begin(dict(weights))
        columns = run.learner.networks.discriminator.columns.weight
        assert torch.equal(columns, weights[COLUMNS]) == is_same
        assert torch.equal(columns, fresh) != is_same
        assert torch.equal(run.learner.networks.discriminator.w_0, weights["discriminator.w_0"])
    with pytest.raises(InputError, match="others than those the run was trained on"):
        made(others, tmp_path / "run").resume()
    export_run(tmp_path / "run", tmp_path / "w.safetensors", "last", said={})
    assert not any("clips" in key for key in load_file(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_cannot_be_read_ends_a_run_with_its_steps_saved(
    drawn: Path, tmp_path: Path, workers: int
) -> None:
    data = shutil.copytree(drawn, tmp_path / "data")
    how = HowToRun(torch.device("cpu"), workers=workers, cache_bytes=0)
    run = MetaRun(tmp_path / "run", small_options(data, **ADVERSARIAL), how, SMALL_SWIFT)
    run.begin()
    train = run.learner.train

    def damaging(parts):
        for path in data.glob("clips/*/*.mp4"):
            path.write_bytes(b"damaged")
        return train(parts)

    run.learner.train = damaging
    with pytest.raises(InputError, match=r"\.mp4 is missing or cannot be decoded$") as caught:
        list(run.run(Budget(steps=20, **QUIET)))
    assert "clips.tsv" in caught.value.hint
    state = json.loads((tmp_path / "run" / "last" / "state.json").read_text())
    assert state["step"] == run.learner.step >= 1


@dataclass(frozen=True)
class Pretended(Processes):
    """One of two processes, whose other one is only what a test says of it."""

    told: list[list[bool]] = field(default_factory=list)
    other_fails_at: int = 10**6

    def agreed(self, *wishes: bool) -> list[bool]:
        self.told.append(list(wishes))
        fails = len(self.told) == self.other_fails_at
        return [wish or fails for wish in wishes]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def average_gradients(self, parameters: object) -> None:
        pass


def test_a_clip_that_another_process_cannot_read_ends_the_run_with_its_steps_saved(
    drawn: Path, tmp_path: Path
) -> None:
    # Each step asks twice: whether all have their batch, and what is due.
    other = Pretended(rank=0, size=2, other_fails_at=5)
    run = MetaRun(tmp_path / "run", small_options(drawn, **ADVERSARIAL), HERE, SMALL_SWIFT, other)
    run.begin()
    with pytest.raises(InputError, match="another process of this run could not read a clip"):
        list(run.run(Budget(steps=20, **QUIET)))
    state = json.loads((tmp_path / "run" / "last" / "state.json").read_text())
    assert state["step"] == run.learner.step == 2


def test_a_process_that_cannot_read_its_clip_says_so_to_the_others(
    drawn: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(drawn, tmp_path / "data")
    own = Pretended(rank=1, size=2)
    how = HowToRun(torch.device("cpu"), workers=0, cache_bytes=0)
    run = MetaRun(tmp_path / "run", small_options(data, **ADVERSARIAL), how, SMALL_SWIFT, own)
    run.begin()
    for path in data.glob("clips/*/*.mp4"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be decoded"):
        list(run.run(Budget(steps=20, **QUIET)))
    assert own.told == [[True]]


def test_what_does_not_fit_is_told(drawn: Path, tmp_path: Path) -> None:
    list(begun(drawn, tmp_path / "run").run(Budget(steps=1, **QUIET)))
    with pytest.raises(InputError, match="does not fit the architecture"):
        made(drawn, tmp_path / "run", SMALL_PAPER).resume()
    table = (drawn / "clips.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "fewer").mkdir()
    (tmp_path / "fewer" / "clips").symlink_to(drawn / "clips")
    (tmp_path / "fewer" / "clips.tsv").write_text("".join([table[0], *table[2:]]))
    fewer = made(tmp_path / "fewer", tmp_path / "run")
    with pytest.raises(InputError, match="trained on 8 clips, and the dataset has 7"):
        fewer.resume()
    with pytest.raises(UsageError, match="cannot be shared"):
        made(drawn, tmp_path / "odd", accumulate=3)
    with pytest.raises(UsageError, match="100 pixels"):
        made(drawn, tmp_path / "odd", sizes=((100, 0),))


def test_a_dataset_without_people_to_validate_on_is_refused_before_the_first_step(
    drawn: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "clips").symlink_to(drawn / "clips")
    table = (drawn / "clips.tsv").read_text()
    (data / "clips.tsv").write_text(table.replace("\tval\t", "\ttrain\t"))
    with pytest.raises(InputError, match="no val clip"):
        made(data, tmp_path / "run")


def test_a_run_that_ended_before_its_first_checkpoint_is_begun_again(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("thvideo.training.checkpoint.save_file", full)
        with pytest.raises(WorkspaceError, match=os.strerror(errno.ENOSPC)):
            list(begun(drawn, tmp_path / "run").run(Budget(steps=1, **QUIET)))
    # What it began with, other weights perhaps, is not there to go on from.
    with pytest.raises(InputError, match="no checkpoint yet"):
        made(drawn, tmp_path / "run").resume()
    list(begun(drawn, tmp_path / "run").run(Budget(steps=1, **QUIET)))
    made(drawn, tmp_path / "run").resume()


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
def test_a_rate_that_is_none_is_refused(drawn: Path, tmp_path: Path, rate: float) -> None:
    with pytest.raises(UsageError, match="learning rate"):
        made(drawn, tmp_path / "run", lr=rate)


def test_a_log_or_a_preview_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(WorkspaceError, match=r"metrics\.jsonl cannot be written"):
        RunFolder(tmp_path).note(1, {"l1": 0.5})
    (tmp_path / "previews").touch()
    with pytest.raises(WorkspaceError, match=r"step-00000001\.jpg cannot be written") as error:
        RunFolder(tmp_path).preview(1, np.zeros((8, 8, 3), np.uint8))
    assert "--resume" in error.value.hint
