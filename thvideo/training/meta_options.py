"""Every option of meta-training, its one default, and what each preset changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from thvideo.errors import InputError, UsageError, reason_of
from thvideo.models.precision import Precision
from thvideo.models.presets import PresetName
from thvideo.training.change import PLAIN, EpisodeOptions
from thvideo.training.losses import LOSS_WEIGHTS, LossWeights

#: Which networks of a generator are trained.
Trained = Literal["all", "foveal"]

#: More steps than any run has.
ENDLESS = 2**40


@dataclass(frozen=True)
class MetaOptions:
    """What is trained, on what, and how. The budget of a run is not among it.

    Args:
        data: The dataset's folder.
        preset: Which networks.
        sizes: Sides of the pictures in turn, each with its number of steps; the last one's
            number does not matter, it lasts to the end.
        batch_size: Episodes in a step, over all processes.
        accumulate: In how many parts a process takes its share of a batch.
        episodes: How episodes are drawn and changed.
        losses: How much each loss counts.
        perceptual: Folder or file of each perceptual network that the losses name.
        adversarial_from: First step in which the discriminator takes part.
        d_steps: Steps of the discriminator for each of embedder and generator.
        lr: Learning rate of embedder and generator.
        lr_d: Learning rate of the discriminator.
        betas: Adam's.
        warmup: Steps in which the learning rates rise.
        ema: Decay of the averaged embedder and generator.
        clip_norm: Gradients are scaled down to this norm; 0 leaves them.
        seed: Of the first weights and all episodes.
        val_episodes: How many fixed episodes of other people measure the progress.
        precision: Arithmetic of the networks.
        trained: All networks, or the foveal ones and their discriminators alone.
    """

    data: Path
    preset: PresetName = "swift"
    sizes: tuple[tuple[int, int], ...] = ((256, 0),)
    batch_size: int = 8
    accumulate: int = 1
    episodes: EpisodeOptions = field(default_factory=EpisodeOptions)
    losses: LossWeights = field(default_factory=LossWeights)
    perceptual: tuple[tuple[str, Path], ...] = ()
    adversarial_from: int = 0
    d_steps: int = 1
    lr: float = 5e-5
    lr_d: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.999)
    warmup: int = 0
    ema: float = 0.999
    clip_norm: float = 0.0
    seed: int = 0
    val_episodes: int = 48
    precision: Precision = "fp32"
    trained: Trained = "all"


#: Section 4 of arXiv:1905.08233: K = 8, two steps of D, no augmentation beside mirroring.
_PAPER = MetaOptions(
    data=Path(),
    preset="paper",
    episodes=replace(PLAIN, flip=EpisodeOptions.flip, fixed_shots=8, with_drafts=False),
    losses=LOSS_WEIGHTS["v2"],
    d_steps=2,
)

_SWIFT = MetaOptions(
    data=Path(),
    preset="swift",
    batch_size=16,
    episodes=EpisodeOptions(telling=0.5),
    losses=LOSS_WEIGHTS["swift"],
    adversarial_from=4000,
    lr=5e-4,
    lr_d=4e-4,
    betas=(0.5, 0.99),
    warmup=100,
    clip_norm=100.0,
)

META_PRESETS: Mapping[str, MetaOptions] = {"paper": _PAPER, "swift": _SWIFT}


@dataclass(frozen=True)
class HowToRun:
    """How to train; it does not change what is learned, beside rounding.

    Args:
        device: Where.
        workers: Processes that make batches ahead; 0 makes them in between.
        compiled: Whether the networks are compiled first.
        cache_bytes: Decoded frames are kept in memory if they take no more than this.
    """

    device: torch.device
    workers: int = 1
    compiled: bool = False
    cache_bytes: int = 8 << 30


@dataclass(frozen=True)
class Every:
    """How often something is done: after so many steps, or so many seconds; 0 and 0 is never."""

    steps: int = 0
    seconds: float = 0.0

    def is_due(self, step: int, seconds_since: float) -> bool:
        """Tell whether it is time, after a step and so many seconds after the last time."""
        if self.steps:
            return step % self.steps == 0
        return 0 < self.seconds < seconds_since


@dataclass(frozen=True)
class Budget:
    """When a run ends, after whichever comes first, and what it does on the way.

    Args:
        steps: Steps of the whole run, those before a resume counted in; 0 for no limit.
        seconds: Seconds of this call; 0 for no limit.
        save: Between checkpoints of the name "last".
        validate: Between validations.
        keep: Between checkpoints that are kept, "step-N".
    """

    steps: int = 0
    seconds: float = 0.0
    save: Every = Every(seconds=300.0)
    validate: Every = Every(seconds=300.0)
    keep: Every = Every()


def options_from_json(written: Mapping[str, Any]) -> MetaOptions:
    """Read options back from `dataclasses.asdict` of them after a round through JSON.

    Raises:
        InputError: They are of another version.
    """
    try:
        values = dict(written)
        values["data"] = Path(values["data"])
        values["sizes"] = tuple((int(size), int(steps)) for size, steps in values["sizes"])
        values["perceptual"] = tuple((name, Path(path)) for name, path in values["perceptual"])
        values["betas"] = tuple(values["betas"])
        values["episodes"] = EpisodeOptions(**_with_tuples(values["episodes"]))
        values["losses"] = LossWeights(**_with_tuples(values["losses"]))
        return MetaOptions(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the run's options are of another version of thvideo ({reason_of(error)})",
            hint="go on with the version that began the run, or begin anew with --init",
        ) from error


def _with_tuples(written: Mapping[str, Any]) -> dict[str, Any]:
    def as_tuple(value: Any) -> Any:
        return tuple(map(as_tuple, value)) if isinstance(value, list) else value

    return {name: as_tuple(value) for name, value in written.items()}


def without_adversary(losses: LossWeights) -> LossWeights:
    """Return the losses' weights without those that ask the discriminator."""
    return replace(losses, adversarial=0.0, feature_matching=0.0, matching=0.0)


def check_options(options: MetaOptions, n_processes: int = 1) -> None:
    """Say what in the options cannot be.

    Raises:
        UsageError: A number is out of range, or numbers do not fit each other.
    """
    parts = n_processes * options.accumulate
    if options.batch_size < 1 or options.batch_size % parts:
        raise UsageError(
            f"a batch of {options.batch_size} cannot be shared by {n_processes} process(es) in "
            f"{options.accumulate} part(s) each",
            hint=f"make --batch-size a multiple of {parts}",
        )
    if not 0 <= options.episodes.picture_share <= 1:
        raise UsageError(
            f"the share of pictures cannot be {options.episodes.picture_share}",
            hint="give --picture-share a number from 0 to 1",
        )
    for name, rate in (("--lr", options.lr), ("--lr-d", options.lr_d)):
        if not 0 <= rate < float("inf"):
            raise UsageError(
                f"the learning rate cannot be {rate}", hint=f"give {name} a number such as 5e-4"
            )
    for size_px, _ in options.sizes:
        if size_px < 64 or size_px % 32:
            raise UsageError(
                f"the networks cannot work on pictures of {size_px} pixels",
                hint="--size is a multiple of 32, 64 at least",
            )
    named = {name for name, weight in options.losses.content if weight}
    lacking = sorted(named - {name for name, _ in options.perceptual})
    if lacking:
        raise UsageError(
            f"the losses need the perceptual network {lacking[0]}, and no weights are given for it",
            hint=f"add --perceptual {lacking[0]}=FILE, or choose others with --losses",
        )


def stage_at(sizes: Sequence[Sequence[int]], step: int) -> tuple[int, int]:
    """Return the side of the pictures in a step, and the first step with another side.

    Args:
        sizes: Sides in turn, each with its number of steps.
        step: Which, from 0.
    """
    end = 0
    for size_px, n_steps in sizes[:-1]:
        end += n_steps
        if step < end:
            return size_px, end
    return sizes[-1][0], ENDLESS


def trained_at(sizes: Sequence[Sequence[int]], n_steps: int) -> int:
    """Return the side of the pictures of the last of ``n_steps`` steps."""
    return stage_at(sizes, max(0, n_steps - 1))[0]
