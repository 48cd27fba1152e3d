"""Checkpoints of a run: whole or not at all, and everything that an exact resume needs.

A checkpoint is a folder: ``weights.safetensors`` (averaged embedder and generator, and the
discriminator: what is exported), ``training.safetensors`` (the networks as they are being
trained, and the optimisers) and ``state.json`` (the step, and numbers).
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from thvideo.errors import InputError, WorkspaceError, reason_of
from thvideo.reading import json_of
from thvideo.workspace.durable import fsync_file, fsync_folder

WEIGHTS, TRAINING, STATE = "weights.safetensors", "training.safetensors", "state.json"

#: Endings of a folder that is being written, and of the one whose place it takes.
_PARTIAL, _OLD = "partial", "old"

Tensors = dict[str, Tensor]


def write_checkpoint(
    folder: Path, weights: Tensors, training: Tensors, state: Mapping[str, Any]
) -> None:
    """Publish a checkpoint in the place of an older one of the same name.

    Args:
        folder: Where it shall be.
        weights: What is exported.
        training: What only a resume needs.
        state: JSON values.

    Raises:
        WorkspaceError: The disk is full or refuses; the older one is still there.
    """
    try:
        _write(folder, weights, training, state)
    except (OSError, SafetensorError) as error:
        raise WorkspaceError(
            f"the checkpoint {folder} cannot be written ({reason_of(error)})",
            hint="make room, then go on with --resume from the one before it",
        ) from error


def _write(folder: Path, weights: Tensors, training: Tensors, state: Mapping[str, Any]) -> None:
    partial, aside = _beside(folder, _PARTIAL), _beside(folder, _OLD)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_owned(weights), partial / WEIGHTS)
    save_file(_owned(training), partial / TRAINING)
    (partial / STATE).write_text(json.dumps(dict(state), indent=1) + "\n", encoding="utf-8")
    for path in partial.iterdir():
        fsync_file(path)
    fsync_folder(partial)
    # A folder cannot replace a full one in one step: the older one steps aside first, and is
    # found there if the run dies in between. What lies aside goes only when another is in place.
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    partial.rename(folder)
    fsync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")


def read_checkpoint(folder: Path) -> tuple[Tensors, Tensors, dict[str, Any]] | None:
    """Read a checkpoint, or the one before it if a run died while replacing it.

    Returns:
        Weights, training tensors and state; None if there is none.

    Raises:
        InputError: The checkpoint is damaged.
    """
    place = checkpoint_place(folder)
    if place is None:
        return None
    with _damage_explained(place):
        state: dict[str, Any] = json_of((place / STATE).read_text(encoding="utf-8"))
        return load_file(place / WEIGHTS), load_file(place / TRAINING), state


def read_weights(folder: Path) -> Tensors | None:
    """Read what is exported of a checkpoint; None if there is none.

    Raises:
        InputError: The checkpoint is damaged.
    """
    place = checkpoint_place(folder)
    if place is None:
        return None
    with _damage_explained(place):
        return load_file(place / WEIGHTS)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is a checkpoint to read."""
    return checkpoint_place(folder) is not None


def checkpoint_names(run: Path) -> list[str]:
    """Return the names of a run's checkpoints, sorted."""
    found = {path.parent.name.removesuffix(f".{_OLD}") for path in run.glob(f"*/{STATE}")}
    return sorted(name for name in found if not name.endswith(f".{_PARTIAL}"))


def checkpoint_place(folder: Path) -> Path | None:
    """Return where a checkpoint lies: in its place, or aside if a run died while replacing it.

    Raises:
        InputError: It has lost its state.
    """
    for place in (folder, _beside(folder, _OLD)):
        if (place / STATE).is_file():
            return place
    if (folder / WEIGHTS).is_file():
        with _damage_explained(folder):
            raise ValueError(f"{STATE} is missing")
    return None


@contextmanager
def _damage_explained(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"the checkpoint {place} is damaged ({reason_of(error)})",
            hint="take another one: --init RUN/best begins a new run from it",
        ) from error


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Name tensors ``PREFIX.NAME``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors that are named ``PREFIX.NAME``, by name."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def optimizer_tensors(optimizer: Optimizer) -> Tensors:
    """Return an optimiser's state as tensors named ``INDEX.KEY``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        # SparseAdam counts its steps in a plain number.
        is_count = key == "step" and isinstance(optimizer, torch.optim.SparseAdam)
        state.setdefault(int(index), {})[key] = int(tensor) if is_count else tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a network's tensors.

    Raises:
        InputError: They are those of another architecture.
    """
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{what} does not fit the architecture ({first})",
            hint="choose the preset, the options and the version that the weights were made with",
        ) from error


def _owned(tensors: Tensors) -> Tensors:
    """Copies that share no memory, as the format wants."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
