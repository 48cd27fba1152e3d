"""Meta-training: a run that can be stopped at any time and goes on exactly where it was."""

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from thvideo.errors import InputError, StageError, UsageError
from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.models.perceptual import perceptual_net
from thvideo.models.precision import Precision
from thvideo.models.presets import PRESETS, ModelOptions
from thvideo.training.checkpoint import Tensors, read_checkpoint, write_checkpoint
from thvideo.training.episodes import Batch, Episodes
from thvideo.training.learner import Learner
from thvideo.training.meta_options import MetaOptions, check_options, size_at
from thvideo.training.validation import Validation, jpeg_bytes

OPTIONS_FILE, METRICS_FILE, PREVIEWS = "options.json", "metrics.jsonl", "previews"
LAST, BEST = "last", "best"

#: A validation this many times as bad as the best one has collapsed.
_COLLAPSE = 2.0

#: Steps between lines of the log.
_LOG_STEPS = 20


@dataclass(frozen=True)
class Budget:
    """When a run ends: after so many steps in all, or so many seconds of this call.

    Args:
        steps: Steps of the whole run, those before a resume counted in; 0 for no limit.
        seconds: Seconds of this call; 0 for no limit.
        save_every_s: Seconds between checkpoints.
        validate_every_s: Seconds between validations.
        validate_every_steps: Steps between validations, in the place of the seconds; 0 for none.
    """

    steps: int = 0
    seconds: float = 0.0
    save_every_s: float = 300.0
    validate_every_s: float = 300.0
    validate_every_steps: int = 0


@dataclass(frozen=True)
class HowToRun:
    """How to train; it does not change what is learned, beside rounding.

    Args:
        device: Where.
        precision: Arithmetic of the networks.
        workers: Processes that make batches ahead; 0 makes them in between.
        compiled: Whether the networks are compiled first.
    """

    device: torch.device
    precision: Precision = "auto"
    workers: int = 1
    compiled: bool = False


@dataclass(frozen=True)
class Trained:
    """What happened in a step, averaged since the last such event."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Validated:
    """How good the averaged networks are now, and whether they were never better."""

    step: int
    values: Mapping[str, float]
    is_best: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk."""

    step: int
    folder: Path


@dataclass(frozen=True)
class RolledBack:
    """Training went wrong and goes on from an earlier step."""

    step: int
    reason: str


MetaEvent = Trained | Validated | Saved | RolledBack


class _Batches(Dataset[Batch]):
    """The batches of a stretch of steps, by step."""

    def __init__(self, episodes: Episodes, part: range) -> None:
        self._episodes, self._part = episodes, part

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, step: int) -> Batch:
        return self._episodes.batch(step, self._part)


def write_options(folder: Path, options: MetaOptions, models: ModelOptions) -> None:
    """Write ``options.json`` of a new run.

    Raises:
        UsageError: The folder holds a run already.
    """
    path = folder / OPTIONS_FILE
    if path.exists():
        raise UsageError(
            f"{folder} holds a run already", hint="go on with --resume, or choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "options": dataclasses.asdict(options),
        "models": dataclasses.asdict(models),
        "draw_style": DRAW_STYLE,
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(written, indent=1, default=str) + "\n", encoding="utf-8")
    partial.replace(path)


class MetaRun:
    """One run of meta-training in one folder.

    Args:
        folder: Gets the log, previews and checkpoints.
        options: What is trained, on what, and how.
        how: Where and in which arithmetic.
        models: The architecture; the preset's own if None.

    Raises:
        UsageError: The options do not fit each other.
        InputError: The dataset or a perceptual network cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        options: MetaOptions,
        how: HowToRun,
        models: ModelOptions | None = None,
    ) -> None:
        check_options(options)
        self._folder, self._options, self._how = folder, options, how
        self._perceptual = {
            name: perceptual_net(name, path).to(how.device) for name, path in options.perceptual
        }
        self._episodes = self._episodes_at(size_at(options, 0), "train")
        self.learner = Learner(
            options,
            models or PRESETS[options.preset],
            len(self._episodes.rows),
            how.device,
            how.precision,
            self._perceptual,
        )
        self._validation: tuple[int, Validation] | None = None
        self._best: float | None = None
        self._rollbacks = 0

    def resume(self) -> bool:
        """Go on from the last checkpoint; return False if there is none."""
        found = read_checkpoint(self._folder / LAST)
        if found is None:
            return False
        self._restore(*found)
        return True

    def start_from(self, weights: Tensors) -> None:
        """Begin with the weights of another run."""
        self.learner.start_from(weights)

    def run(self, budget: Budget) -> Iterator[MetaEvent]:
        """Train until the budget is used up, and save.

        Raises:
            StageError: Training went wrong again after it was rolled back once.
        """
        started = time.monotonic()
        saved_at = validated_at = started
        logged: dict[str, list[float]] = {}
        for batches in self._stretches(budget):
            for parts in batches:
                values = self.learner.train(parts)
                step = self.learner.step
                wrong = _what_is_wrong(values)
                if wrong:
                    yield self._roll_back(wrong)
                    break
                for name, value in values.items():
                    logged.setdefault(name, []).append(value)
                now = time.monotonic()
                if step % _LOG_STEPS == 0:
                    yield self._log(logged, now - started)
                    logged = {}
                by_step = budget.validate_every_steps
                due = (
                    step % by_step == 0 if by_step else now - validated_at > budget.validate_every_s
                )
                if due:
                    yield from self._validate()
                    validated_at = time.monotonic()
                if now - saved_at > budget.save_every_s:
                    yield self._save(LAST)
                    saved_at = time.monotonic()
                if budget.seconds and now - started > budget.seconds:
                    break
            if budget.seconds and time.monotonic() - started > budget.seconds:
                break
        yield from self._validate()
        yield self._save(LAST)

    def _stretches(self, budget: Budget) -> Iterator[Iterator[list[Batch]]]:
        """Yield batches from the current step on, one iterator as long as the size stays."""
        while not budget.steps or self.learner.step < budget.steps:
            yield self._batches(budget)

    def _batches(self, budget: Budget) -> Iterator[list[Batch]]:
        options, start = self._options, self.learner.step
        size_px = size_at(options, start)
        if self._episodes.size_px != size_px:
            self._episodes = self._episodes_at(size_px, "train")
        stop = budget.steps or start + 1_000_000_000
        n_part = options.batch_size // options.accumulate
        loader = DataLoader(
            _Batches(self._episodes, range(options.batch_size)),
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self._how.workers,
            prefetch_factor=3 if self._how.workers else None,
        )
        for step, batch in enumerate(loader, start):
            if size_at(options, step) != size_px or step != self.learner.step:
                return
            moved = batch.to(self._how.device)
            yield [moved.part(slice(i, i + n_part)) for i in range(0, options.batch_size, n_part)]

    def _episodes_at(self, size_px: int, split: str) -> Episodes:
        options = self._options
        return Episodes(options.data, split, size_px, options.episodes, seed=options.seed)

    def _validate(self) -> Iterator[MetaEvent]:
        step = self.learner.step
        size_px = size_at(self._options, step)
        if self._validation is None or self._validation[0] != size_px:
            fixed = Validation.of(
                self._episodes_at(size_px, "val"), self._options.val_episodes, self._perceptual
            )
            # Another size measures on another scale.
            self._validation, self._best = (size_px, fixed), None
        validation = self._validation[1]
        with self.learner.arithmetic():
            values = validation.measure(self.learner.averaged, self._how.device)
            sheet = validation.preview(self.learner.averaged, self._how.device)
        previews = self._folder / PREVIEWS
        previews.mkdir(exist_ok=True)
        (previews / f"step-{step:08d}.jpg").write_bytes(jpeg_bytes(sheet))
        self._write_line({"step": step} | {f"val_{name}": v for name, v in values.items()})
        score = values.get("content", values["l1"])
        if self._best is not None and not score < _COLLAPSE * self._best:
            yield self._roll_back(f"validation went from {self._best:.3g} to {score:.3g}")
            return
        is_best = self._best is None or score < self._best
        if is_best:
            self._best = score
            yield self._save(BEST)
        yield Validated(step, values, is_best)

    def _save(self, name: str) -> Saved:
        learner = self.learner
        state = {
            "step": learner.step,
            "best": self._best,
            "validated_px": self._validation[0] if self._validation else None,
            "rollbacks": self._rollbacks,
        }
        write_checkpoint(self._folder / name, learner.weights(), learner.training_tensors(), state)
        return Saved(learner.step, self._folder / name)

    def _restore(self, weights: Tensors, training: Tensors, state: dict[str, Any]) -> None:
        self.learner.restore(weights, training, int(state["step"]))
        self._rollbacks = int(state["rollbacks"])
        # The best of another size of pictures says nothing about this one.
        if state["validated_px"] == size_at(self._options, self.learner.step):
            self._best = state["best"]

    def _roll_back(self, reason: str) -> RolledBack:
        found = read_checkpoint(self._folder / LAST) if self._rollbacks == 0 else None
        if found is None:
            raise StageError(
                f"training went wrong at step {self.learner.step}: {reason}",
                hint="lower --lr, or start from weights with --init; the checkpoints stay",
            )
        self._restore(*found)
        self._rollbacks = 1
        self._write_line({"step": self.learner.step, "rolled_back": reason})
        return RolledBack(self.learner.step, reason)

    def _log(self, logged: Mapping[str, list[float]], seconds: float) -> Trained:
        means = {name: sum(values) / len(values) for name, values in logged.items()}
        means["size_px"] = self._episodes.size_px
        self._write_line({"step": self.learner.step, "s": round(seconds, 1)} | means)
        return Trained(self.learner.step, means)

    def _write_line(self, values: Mapping[str, Any]) -> None:
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
        with (self._folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")


def weights_of(path: Path) -> Tensors:
    """Read the weights of a run's checkpoint folder, or of its best or last one.

    Raises:
        InputError: There is no checkpoint.
    """
    for folder in (path, path / BEST, path / LAST):
        found = read_checkpoint(folder) if (folder / "state.json").is_file() else None
        if found is not None:
            return found[0]
    raise InputError(f"{path} holds no checkpoint", hint="give the folder of a run, or weights")


def _what_is_wrong(values: Mapping[str, float]) -> str:
    for name, value in values.items():
        if not abs(value) < float("inf"):
            return f"{name} is {value}"
    return ""
