"""A run on the disk: its options, its log, its previews and its checkpoints.

RUN/options.json           what is trained, on what, and how
RUN/metrics.jsonl          a line for every stretch of steps and every validation
RUN/previews/step-*.jpg    source, landmark image, warp, result, truth
RUN/last  best  step-N     checkpoints
RUN/board                  TensorBoard's events, where that package is installed
"""

import dataclasses
import errno
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from thvideo.errors import InputError, UsageError, WorkspaceError, reason_of
from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.models.presets import ModelOptions, options_from_card
from thvideo.reading import expanded, json_of
from thvideo.shapes import U8Array
from thvideo.training.checkpoint import (
    Tensors,
    checkpoint_names,
    has_checkpoint,
    read_checkpoint,
    read_weights,
    with_prefix,
    write_checkpoint,
)
from thvideo.training.meta_options import MetaOptions, options_from_json
from thvideo.weights.load import load_weights
from thvideo.weights.stated import check_fields
from thvideo.workspace.durable import write_whole

LAST, BEST = "last", "best"
OPTIONS, METRICS = "options.json", "metrics.jsonl"
_PREVIEWS, _BOARD, _LOCK = "previews", "board", ".lock"


class RunFolder:
    """The folder of a run.

    Args:
        path: Where.
        is_writer: Whether this process writes; the others of a run only read.
    """

    def __init__(self, path: Path, *, is_writer: bool = True) -> None:
        self.path, self._is_writer = path, is_writer
        self._board: Any = None
        self._lock: IO[bytes] | None = None

    def begin(self, options: MetaOptions, models: ModelOptions, *, is_new: bool = True) -> None:
        """Write the options, and hold the folder against other processes from now on.

        Args:
            options: How the run trains from now on.
            models: Its architecture.
            is_new: Whether no run may be here yet.

        Raises:
            UsageError: The folder holds a run already, or is none.
            WorkspaceError: It cannot be written, or another process trains in it.
        """
        if not self._is_writer:
            return
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file", hint="give the folder of a run with -o")
        # Without a checkpoint there is nothing to lose, and nothing to go on from.
        if is_new and checkpoint_names(self.path):
            raise UsageError(
                f"{self.path} holds a run already",
                hint="go on with --resume, or choose another folder with -o",
            )
        written = {
            "options": dataclasses.asdict(options),
            "models": dataclasses.asdict(models),
            "draw_style": DRAW_STYLE,
        }
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._lock or _locked(self.path)
            (self.path / _PREVIEWS).mkdir(exist_ok=True)
            write_whole(self.path / OPTIONS, json.dumps(written, indent=1, default=str) + "\n")
        except OSError as error:
            raise WorkspaceError(
                f"{self.path} cannot be written ({reason_of(error)})", hint="give another -o RUN"
            ) from error
        self._board = _board(self.path / _BOARD)

    def read_options(self) -> tuple[MetaOptions, ModelOptions]:
        """Read how the run trains, and its architecture.

        Raises:
            InputError: There is no run, or it is damaged or of another version.
        """
        path = self.path / OPTIONS
        if not path.exists():
            raise InputError(
                f"there is no run at {self.path}",
                hint="begin one: thvideo metatrain --data DATASET -o RUN",
            )
        try:
            written = json_of(path.read_text(encoding="utf-8"))
            models, style = written["models"], written.get("draw_style", DRAW_STYLE)
            options = options_from_json(written["options"])
            check_fields(options)
            if not options.sizes:
                raise ValueError("sizes is empty")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged ({reason_of(error)})",
                hint="mend it, or begin a new run: thvideo metatrain --data DATASET -o RUN",
            ) from error
        if style != DRAW_STYLE:
            raise InputError(
                f"{self.path} was trained on landmark images of style {style}, and this version "
                f"draws style {DRAW_STYLE}",
                hint="go on with the version that began the run",
            )
        return options, options_from_card(models)

    def says_precision(self) -> bool:
        """Tell whether the options say in which arithmetic the run began; old ones do not."""
        with suppress(OSError, ValueError, LookupError, TypeError):
            written = json_of((self.path / OPTIONS).read_text(encoding="utf-8"))
            return "precision" in written["options"]
        return False

    def note(self, step: int, values: Mapping[str, Any]) -> None:
        """Add a line to the log, and its numbers to TensorBoard's events.

        Raises:
            WorkspaceError: The log cannot be written.
        """
        if not self._is_writer:
            return
        # JSON knows no number that is none.
        told = {k: _rounded(v) for k, v in values.items() if not _is_no_number(v)}
        log = self.path / METRICS
        with self._written(log), log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | told) + "\n")
        for name, value in told.items():
            if self._board is not None and isinstance(value, int | float):
                self._board.add_scalar(name.replace("val_", "val/"), value, step)

    def preview(self, step: int, sheet: U8Array) -> None:
        """Keep a picture ``[H, W, 3]`` RGB of what the networks draw now.

        Raises:
            WorkspaceError: It cannot be written.
        """
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        path = self.path / _PREVIEWS / f"step-{step:08d}.jpg"
        with self._written(path):
            path.write_bytes(np.asarray(encoded).tobytes())
        if self._board is not None:
            self._board.add_image("preview", sheet, step, dataformats="HWC")

    @contextmanager
    def _written(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"{path} cannot be written ({reason_of(error)})",
                hint=f"make place for it: thvideo metatrain -o {self.path} --resume goes on",
            ) from error

    def save(self, name: str, weights: Tensors, training: Tensors, state: dict[str, Any]) -> Path:
        """Write a checkpoint, whole or not at all; return where it is.

        Raises:
            WorkspaceError: The disk is full or refuses.
        """
        folder = self.path / name
        write_checkpoint(folder, weights, training, state)
        return folder

    def checkpoint(self, name: str) -> tuple[Tensors, Tensors, dict[str, Any]] | None:
        """Read a checkpoint; None if there is none.

        Raises:
            InputError: It is damaged.
        """
        return read_checkpoint(self.path / name)

    def has_checkpoint(self, name: str) -> bool:
        """Tell whether there is a checkpoint of a name."""
        return has_checkpoint(self.path / name)


def weights_to_begin_with(name_or_path: str) -> tuple[Tensors, ModelOptions]:
    """Read weights of another run, and their architecture.

    Args:
        name_or_path: A shipped name, a file of weights, the folder of a run (its best
            checkpoint, else its last), or one of its checkpoints.

    Raises:
        InputError: There are none, or they are damaged or of another version.
    """
    path = expanded(name_or_path)
    if not path.is_dir():
        parts, card = load_weights(name_or_path, draw_style=DRAW_STYLE)
        tensors = [with_prefix(part, values) for part, values in parts.items()]
        return {k: v for found in tensors for k, v in found.items()}, options_from_card(
            card["options"]
        )
    for folder in (path, path / BEST, path / LAST):
        found = read_weights(folder)
        if found is not None:
            run = path.parent if folder == path else path
            return found, RunFolder(run).read_options()[1]
    raise InputError(f"{path} holds no checkpoint", hint="give the folder of a run, or weights")


def _locked(run: Path) -> IO[bytes] | None:
    """Lock a run's folder until this process ends, however it ends.

    The lock is this process's alone: the workers that it forks do not hold it on if it is killed.

    Raises:
        WorkspaceError: Another process holds it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    file = (run / _LOCK).open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some file systems know no locks: then nobody is kept out.
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise WorkspaceError(
                f"another process is training in {run}",
                hint="wait for it, or choose another folder with -o",
            ) from error
    return file


def _board(folder: Path) -> Any:
    """TensorBoard's writer, or None where that package is not installed."""
    try:
        return import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    except ImportError:
        return None


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
