"""Meta-training: a run that can be stopped at any time and goes on exactly where it was."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import torch
from torch.profiler import record_function

from thvideo.errors import InputError, StageError, UsageError
from thvideo.models.perceptual import perceptual_net
from thvideo.models.presets import PRESETS, ModelOptions
from thvideo.training.batch import Batch
from thvideo.training.batch_loader import batches_from
from thvideo.training.checkpoint import Tensors
from thvideo.training.episodes import Episodes
from thvideo.training.labels import LOG, loaded
from thvideo.training.learner import Learner
from thvideo.training.meta_clock import NOTHING, Clock, Due, Stretch
from thvideo.training.meta_events import (
    MetaEvent,
    RolledBack,
    Saved,
    Started,
    Stopped,
    Trained,
    Validated,
)
from thvideo.training.meta_options import (
    ENDLESS,
    Budget,
    HowToRun,
    MetaOptions,
    check_options,
    stage_at,
    trained_at,
)
from thvideo.training.processes import ALONE, Processes
from thvideo.training.run_folder import BEST, LAST, RunFolder
from thvideo.training.validation import Validation

#: A validation this many times as bad as the best one has collapsed.
_COLLAPSE = 2.0

#: After a roll-back the learning rates are this share of what they were, and batches have other
#: numbers: the same steps would lead to the same place.
_SLOWER = 0.5
_OTHER_BATCHES = ENDLESS

#: In a checkpoint's weights beside W: SHA-256 of the names of the clips that its columns are of.
CLIPS, COLUMNS = "clips.sha256", "discriminator.columns.weight"


class MetaRun:
    """One run of meta-training in one folder.

    Args:
        folder: Gets the log, previews and checkpoints.
        options: What is trained, on what, and how.
        how: Where, and with how many workers.
        models: The architecture; the preset's own if None.
        processes: Who trains beside this process; the folder has to be the same for all.

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
        processes: Processes = ALONE,
    ) -> None:
        check_options(options, processes.size)
        self._options, self._how, self._processes = options, how, processes
        self.models = models or PRESETS[options.preset]
        if options.trained == "foveal" and not self.models.has_fovea:
            raise UsageError(
                "these networks have no foveal ones to train",
                hint="leave out --train, or begin a new swift run: --preset swift --init RUN",
            )
        self._folder = RunFolder(folder, is_writer=processes.is_first)
        self._perceptual = {
            name: perceptual_net(name, path).to(how.device) for name, path in options.perceptual
        }
        size_px = stage_at(options.sizes, 0)[0]
        self._train_on = self._episodes_at(size_px, "train")
        # Nobody to validate on is said now, and not when the first steps are done.
        self._validate_on = self._episodes_at(size_px, "val")
        self._clips = torch.frombuffer(
            bytearray.fromhex(self._train_on.digest()), dtype=torch.uint8
        )
        self.learner = Learner(
            options, self.models, self._train_on.n_columns, how, self._perceptual, processes
        )
        self._validation: Validation | None = None
        #: What validations are compared by: the first perceptual network, else pixels.
        self._measure = next(iter(self._perceptual), "l1")
        self._best: float | None = None
        self._best_px: int | None = None
        self._n_rollbacks = 0

    def begin(self, weights: Tensors | None = None) -> None:
        """Begin anew in an empty folder.

        Args:
            weights: Of another run, to begin with.

        Raises:
            UsageError: The folder holds a run already.
            InputError: The weights are of another architecture.
            WorkspaceError: The folder cannot be written, or another process trains in it.
        """
        if weights is not None:
            # As many clips need not be the same ones.
            is_of_others = not self._are_ours(weights)
            self.learner.start_from(
                {k: v for k, v in weights.items() if not (is_of_others and k == COLUMNS)}
            )
        self._folder.begin(self._options, self.models)

    def resume(self) -> None:
        """Go on from the last checkpoint.

        Raises:
            InputError: There is none yet, or it is damaged, or of another architecture or dataset.
            WorkspaceError: The folder cannot be written, or another process trains in it.
        """
        self._folder.begin(self._options, self.models, is_new=False)
        found = self._folder.checkpoint(LAST)
        if found is None:
            raise InputError(
                f"{self._folder.path} holds no checkpoint yet",
                hint="begin it anew: leave out --resume, and give --data",
            )
        self._restore(*found)

    def run(
        self, budget: Budget, is_to_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[MetaEvent]:
        """Train until the budget is used up or somebody asks to stop, and save.

        Args:
            budget: When to end, to validate and to save.
            is_to_stop: Asked after every step.

        Raises:
            StageError: Training went wrong again after it was rolled back once.
            InputError: A clip is missing or damaged.
            WorkspaceError: The disk is full.
        """
        learner = self.learner
        if budget.steps and learner.step >= budget.steps:
            return
        train_on = self._train_on
        yield Started(learner.step, train_on.n_clips, train_on.n_people, train_on.n_pictures)
        if not self._folder.has_checkpoint(LAST):
            yield from self._save(LAST)
        clock = Clock(budget)
        try:
            while not clock.is_over(learner.step):
                with closing(self._batches(budget)) as batches:
                    yield from self._train(batches, clock, is_to_stop)
        except InputError:
            # A clip cannot be read; the steps until now are kept.
            yield from self._save(LAST)
            raise
        if clock.is_stopped:
            yield from self._save(LAST)
            yield Stopped(learner.step)
            return
        # Whatever becomes of the validation, the steps are kept.
        yield from self._save(LAST)
        yield from self._validate(is_last=True)
        yield from self._save(LAST)

    def _train(
        self, batches: Iterator[list[Batch]], clock: Clock, is_to_stop: Callable[[], bool]
    ) -> Iterator[MetaEvent]:
        """Do a step with each batch, until they end, the clock is over, or all is rolled back."""
        stretch = Stretch()
        for parts in loaded(self._together(batches)):
            stretch.add(self.learner.train(parts))
            if stretch.wrong:
                yield self._roll_back(LAST, stretch.wrong)
                return
            step = self.learner.step
            # The first one's clock counts; everybody may have been asked to stop.
            due = clock.due(step) if self._processes.is_first else NOTHING
            due = Due(*self._processes.agreed(*due._replace(stop=is_to_stop())))
            clock.note(due)
            if stretch.is_full or clock.is_over(step):
                yield from self._log(stretch, clock.seconds)
                stretch = Stretch()
            if due.keep:
                yield from self._save(f"step-{step}")
            if clock.is_over(step):
                return
            if due.validate:
                yield from self._validate()
            if self.learner.step != step:
                return
            if due.save:
                yield from self._save(LAST)
            stretch.go_on()
        if stretch.n_steps:
            yield from self._log(stretch, clock.seconds)

    def _batches(self, budget: Budget) -> Generator[list[Batch], None, None]:
        """Yield this process's parts of batches from the current step on, while the size stays."""
        options, start = self._options, self.learner.step
        size_px, end = stage_at(options.sizes, start)
        if self._train_on.size_px != size_px:
            # Frames of two sizes are not held at once.
            self._train_on = self._episodes_at(size_px, "train")
        # Processes of one machine share its memory.
        self._train_on.keep_in_memory(self._how.cache_bytes // self._processes.local_size)
        own = self._processes.share_of(options.batch_size)
        n_part = len(own) // options.accumulate
        other = self._n_rollbacks * _OTHER_BATCHES
        numbers = range(start + other, min(end, budget.steps or ENDLESS) + other)
        is_cuda = self._how.device.type == "cuda"
        for batch in batches_from(self._train_on, numbers, own, self._how.workers, pinned=is_cuda):
            moved = batch.to(self._how.device)
            yield [moved.part(slice(i, i + n_part)) for i in range(0, len(own), n_part)]

    def _together(self, batches: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
        """Yield batches while every process has its own.

        Raises:
            InputError: One of them could not read a clip; all hear of it before the same step.
        """
        while True:
            parts, failure = None, None
            try:
                parts = next(batches, None)
            except InputError as error:
                failure = error
            if self._processes.agreed(failure is not None)[0]:
                raise failure or _failed_elsewhere()
            if parts is None:
                return
            yield parts

    def _episodes_at(self, size_px: int, split: Literal["train", "val"]) -> Episodes:
        options = self._options
        return Episodes(
            options.data,
            split,
            size_px,
            options.episodes,
            seed=options.seed,
            with_patches=self.models.has_fovea,
        )

    def _validate(self, *, is_last: bool = False) -> Iterator[MetaEvent]:
        """Measure in the first process; all of them hear if it went wrong.

        The last validation of a run only tells: nothing follows that could go wrong, the best
        checkpoint is kept, and a run that goes on rolls back at its next validation.
        """
        reason, measured, failure = "", None, None
        if self._processes.is_first:
            try:
                measured = self._measured()
            except InputError as error:
                failure = error
        if measured is not None:
            score, values = measured
            px = trained_at(self._options.sizes, self.learner.step)
            if self._best_px != px:
                # Another size measures on another scale.
                self._best = None
            if not is_last and self._best is not None and not score < _COLLAPSE * self._best:
                reason = f"validation went from {self._best:.3g} to {score:.3g}"
            else:
                # A number that is none is never the best.
                is_best = score < (math.inf if self._best is None else self._best)
                if is_best:
                    self._best, self._best_px = score, px
                    yield from self._save(BEST)
                yield Validated(self.learner.step, values, is_best)
        is_collapsed, is_failed = self._processes.agreed(bool(reason), failure is not None)
        if is_failed:
            raise failure or _failed_elsewhere()
        if is_collapsed:
            yield self._roll_back(BEST, reason or "validation collapsed")

    def _measured(self) -> tuple[float, dict[str, float]]:
        step = self.learner.step
        size_px = trained_at(self._options.sizes, step)
        if self._validate_on.size_px != size_px:
            self._validate_on, self._validation = self._episodes_at(size_px, "val"), None
        if self._validation is None:
            n_episodes = self._options.val_episodes
            self._validation = Validation.of(self._validate_on, n_episodes, self._perceptual)
        validation, networks = self._validation, self.learner.settled()
        with self.learner.arithmetic():
            values = validation.measure(networks, self._how.device)
            self._folder.preview(step, validation.preview(networks, self._how.device))
        self._folder.note(step, {f"val_{name}": value for name, value in values.items()})
        # Where patches are drawn, they count as the whole picture does.
        kind = "content" if "content" in values else "l1"
        parts = (kind, f"mouth_{kind}", f"eyes_{kind}")
        return sum(values.get(name, 0.0) for name in parts), values

    def _save(self, name: str) -> Iterator[Saved]:
        if not self._processes.is_first:
            return
        with record_function(LOG):
            folder = self._written(name)
        yield Saved(self.learner.step, folder)

    def _written(self, name: str) -> Path:
        learner = self.learner
        state = {
            "step": learner.step,
            "best": self._best,
            "validated_px": self._best_px,
            "measure": self._measure,
            "rollbacks": self._n_rollbacks,
        }
        weights = learner.weights() | {CLIPS: self._clips}
        return self._folder.save(name, weights, learner.training_tensors(), state)

    def _restore(self, weights: Tensors, training: Tensors, state: Mapping[str, Any]) -> None:
        self.learner.restore(weights, training, int(state["step"]))
        if not self._are_ours(weights):
            raise InputError(
                f"the clips of {self._options.data} are others than those the run was trained on",
                hint="give the same dataset, or begin a new run from the weights with --init",
            )
        self._n_rollbacks = int(state["rollbacks"])
        self.learner.rate_scale = _SLOWER**self._n_rollbacks
        if state.get("measure", self._measure) == self._measure:
            self._best, self._best_px = state["best"], state["validated_px"]

    def _are_ours(self, weights: Tensors) -> bool:
        """Whether a checkpoint was trained on this dataset's clips; those of old do not say."""
        return torch.equal(weights.get(CLIPS, self._clips), self._clips)

    def _roll_back(self, name: str, reason: str) -> RolledBack:
        went_wrong_at = self.learner.step
        found = self._folder.checkpoint(name) if self._n_rollbacks == 0 else None
        if found is None:
            raise StageError(
                f"training went wrong at step {went_wrong_at}: {reason}",
                hint="lower --lr, or begin anew from weights with --init; the checkpoints stay",
            )
        self._restore(*found)
        # Nobody may replace the checkpoint before all have read it.
        self._processes.agreed(False)
        self._n_rollbacks = 1
        self.learner.rate_scale = _SLOWER
        # Saved at once: a run that is stopped now must not go the same way again.
        for _ in self._save(LAST):
            self._folder.note(self.learner.step, {"rolled_back": reason})
        return RolledBack(self.learner.step, f"step {went_wrong_at}: {reason}")

    def _log(self, stretch: Stretch, seconds: float) -> Iterator[Trained]:
        if not self._processes.is_first:
            return
        with record_function(LOG):
            means = stretch.means()
            size_px = trained_at(self._options.sizes, self.learner.step)
            speed = stretch.n_steps * self._options.batch_size / max(stretch.seconds, 1e-6)
            line = {"s": round(seconds, 1), "samples_per_s": round(speed, 2), "size_px": size_px}
            self._folder.note(self.learner.step, line | means)
        yield Trained(self.learner.step, seconds, means, speed, size_px)


def _failed_elsewhere() -> InputError:
    return InputError(
        "another process of this run could not read a clip",
        hint="it says which; the steps until now are saved",
    )
