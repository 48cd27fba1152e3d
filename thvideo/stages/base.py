"""What a stage is: parameters that make its key, inputs by role, and a run that yields events."""

import dataclasses
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from thvideo.stages.handover import Handover
from thvideo.workspace.chunks import Chunks
from thvideo.workspace.store import Artifact

GeneratorName = Literal["warp", "swift", "paper"]
Container = Literal["mp4", "mov", "mkv", "webm", "gif"]


@dataclass(frozen=True)
class Resources:
    """How to run; never part of a key, because it must not change the result.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1" or "mps"; reenact draws on several of one kind
            side by side, "cuda:0,cuda:1", and whoever uses but one takes the first.
        batch_size: Frames on the device at once; 0 chooses by itself.
        threads: CPU threads for torch and ffmpeg; 0 leaves the libraries' own choice.
        chunk_frames: Frames in one published chunk.
    """

    device: str = "auto"
    batch_size: int = 0
    threads: int = 0
    chunk_frames: int = 250


@dataclass(frozen=True)
class Progress:
    """Work done so far; ``total`` is None where it is not known yet."""

    done: int
    total: int | None
    unit: str = "frames"


@dataclass(frozen=True)
class Notice:
    """Something the person should know although the run goes on."""

    text: str


StageEvent = Progress | Notice


@dataclass(frozen=True)
class Job:
    """One run of one stage.

    Args:
        inputs: Finished artifacts by role.
        files: The person's own files by role.
        chunks: The folder that becomes the artifact; what is in it survives a kill.
        resources: How to run.
        facts: Filled by the stage: small JSON values kept in the manifest and the report.
        gives: Takes the frames that the stage makes, for one that runs beside it.
        arriving: What an artifact that is still being made will hold, by role; its role is not
            among ``inputs``.
    """

    inputs: Mapping[str, Artifact]
    files: Mapping[str, Path]
    chunks: Chunks
    resources: Resources
    facts: dict[str, Any] = field(default_factory=dict)
    gives: Handover | None = None
    arriving: Mapping[str, Handover] = field(default_factory=dict)


class Stage(Protocol):
    """A frozen dataclass whose fields are parameters; every field is in the cache key."""

    name: ClassVar[str]
    version: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def skip_reason(self) -> str | None:
        """Say why there is nothing to do, or None when the stage has to run."""
        ...

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make the artifact's payload in ``job.chunks.folder`` and yield what happens."""
        ...


def parameters(stage: Stage) -> dict[str, Any]:
    """Return the stage's fields as JSON values, as they enter its key."""
    return dataclasses.asdict(stage)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules without looking for garbage, of which loading makes none: a tenth faster.

    PyTorch, where it is loaded first here, is not looked through afterwards either.
    """
    collects, is_first = gc.isenabled(), "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if is_first and "torch" in sys.modules:
            gc.freeze()
        if collects:
            gc.enable()
