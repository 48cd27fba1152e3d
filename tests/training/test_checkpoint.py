"""A checkpoint is there whole or not at all, whenever a run is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from thvideo.errors import InputError, WorkspaceError
from thvideo.training import checkpoint
from thvideo.training.checkpoint import (
    has_checkpoint,
    optimizer_tensors,
    read_checkpoint,
    read_weights,
    restore_optimizer,
    write_checkpoint,
)


class Killed(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def write(folder: Path, number: int) -> None:
    tensors = {"x": torch.full((3,), float(number))}
    write_checkpoint(folder, tensors, {"adam.0.step": torch.tensor(number)}, {"step": number})


def number_in(folder: Path) -> int:
    found = read_checkpoint(folder)
    assert found is not None
    weights, training, state = found
    assert weights["x"][0] == training["adam.0.step"] == state["step"]
    return int(state["step"])


# What is called while a checkpoint replaces an older one, in this order.
CALLS = [
    (checkpoint.shutil, "rmtree", 1),
    (checkpoint, "save_file", 1),
    (checkpoint, "save_file", 2),
    (checkpoint, "fsync_file", 2),
    (Path, "rename", 1),
    (Path, "rename", 2),
    (checkpoint.shutil, "rmtree", 3),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("place", "name", "nth"), CALLS, ids=[f"{name}-{nth}" for _, name, nth in CALLS]
)
def test_a_kill_at_any_moment_leaves_a_readable_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, nth: int, when: str
) -> None:
    folder = tmp_path / "last"
    write(folder, 1)
    real: Callable = getattr(place, name)
    calls = iter(range(1, 100))

    def killing(*args, **kwargs):
        is_moment = next(calls) == nth
        if is_moment and when == "before":
            raise Killed
        result = real(*args, **kwargs)
        if is_moment:
            raise Killed
        return result

    with monkeypatch.context() as patched:
        patched.setattr(place, name, killing)
        with pytest.raises(Killed):
            write(folder, 2)
    assert has_checkpoint(folder)
    assert number_in(folder) in (1, 2)
    # Neither does the next one fail, nor a kill in it lose what is there.
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            write(folder, 3)
    assert number_in(folder) in (1, 2)
    write(folder, 4)
    assert number_in(folder) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_full_disk_is_told_and_the_older_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "last", 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(WorkspaceError, match="No space left"):
        write(tmp_path / "last", 2)
    assert number_in(tmp_path / "last") == 1


def test_damage_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    assert read_checkpoint(folder) is None
    write(folder, 1)
    (folder / "training.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(folder)
    assert read_weights(folder) is not None


@pytest.mark.parametrize("is_sparse", [False, True], ids=["Adam", "SparseAdam"])
def test_an_optimiser_goes_on_as_if_it_had_not_been_saved(is_sparse: bool) -> None:
    def steps(table: torch.nn.Embedding, optimizer: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            table(torch.tensor([1, 2, 2])).square().sum().backward()
            optimizer.step()

    def made() -> tuple[torch.nn.Embedding, torch.optim.Optimizer]:
        torch.manual_seed(0)
        table = torch.nn.Embedding(5, 3, sparse=is_sparse)
        kind = torch.optim.SparseAdam if is_sparse else torch.optim.Adam
        return table, kind(table.parameters(), 0.1)

    whole, optimizer = made()
    steps(whole, optimizer, 4)
    half, optimizer = made()
    steps(half, optimizer, 2)
    resumed, second = made()
    resumed.load_state_dict(half.state_dict())
    restore_optimizer(second, optimizer_tensors(optimizer))
    steps(resumed, second, 2)
    assert torch.equal(whole.weight, resumed.weight)


def test_a_checkpoint_without_its_state_is_damaged_and_not_missing(tmp_path: Path) -> None:
    write(tmp_path / "last", 3)
    (tmp_path / "last" / "state.json").unlink()
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(tmp_path / "last")
