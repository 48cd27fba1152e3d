"""What a run tells while it goes on; the command line draws these, or writes them as JSON."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class _Event:
    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON values; ``event`` is its name."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"event": name} | {
            key: str(value) if isinstance(value, Path) else value for key, value in values.items()
        }


@dataclass(frozen=True)
class RunStarted(_Event):
    """The plan is made.

    Args:
        nodes: Ids of all nodes in order.
        to_run: Ids of those that will run.
    """

    nodes: tuple[str, ...]
    to_run: tuple[str, ...]


@dataclass(frozen=True)
class NodeReused(_Event):
    """A finished artifact serves again."""

    id: str
    key: str


@dataclass(frozen=True)
class NodeSkipped(_Event):
    """A node has nothing to do."""

    id: str
    reason: str


@dataclass(frozen=True)
class NodeStarted(_Event):
    """A node runs, and why."""

    id: str
    stage: str
    reason: str


@dataclass(frozen=True)
class NodeProgress(_Event):
    """How far a node is; ``total`` is None where it is not known yet."""

    id: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True)
class NodeNotice(_Event):
    """Something the person should know although the run goes on."""

    id: str
    text: str


@dataclass(frozen=True)
class NodeFinished(_Event):
    """A node's artifact is published."""

    id: str
    key: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Delivered(_Event):
    """A file of the person's choice is in its place.

    Args:
        output: The file.
        copied: False when the same bytes lay there already.
    """

    output: Path
    copied: bool


@dataclass(frozen=True)
class RunFinished(_Event):
    """The run is over.

    Args:
        output: The delivered file, if one was asked for.
        report: The report beside it.
        artifact: The folder of the target's artifact; None when the target was skipped.
        seconds: Duration of the whole run.
    """

    output: Path | None
    report: Path | None
    artifact: Path | None
    seconds: float


Event = (
    RunStarted
    | NodeReused
    | NodeSkipped
    | NodeStarted
    | NodeProgress
    | NodeNotice
    | NodeFinished
    | Delivered
    | RunFinished
)
