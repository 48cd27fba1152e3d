"""What happens in a run of meta-training, for whoever draws or logs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Started:
    """Training begins, or goes on."""

    step: int
    n_clips: int
    n_people: int
    n_pictures: int


@dataclass(frozen=True)
class Trained:
    """A stretch of steps is done.

    Args:
        step: Steps of the run so far.
        seconds: Of this call so far.
        values: Losses' terms and gradients' norms, averaged over the stretch.
        samples_per_s: Episodes a second, over all processes.
        size_px: Side of the pictures.
    """

    step: int
    seconds: float
    values: Mapping[str, float]
    samples_per_s: float
    size_px: int


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
    """Training went wrong and goes on from an earlier step, slower and on other episodes."""

    step: int
    reason: str


@dataclass(frozen=True)
class Stopped:
    """Somebody asked to stop, and all is saved."""

    step: int


MetaEvent = Started | Trained | Validated | Saved | RolledBack | Stopped
