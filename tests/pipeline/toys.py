"""Toy stages that note their work, and stand-ins for the artifacts of the real ones."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from thvideo.pipeline.graph import Graph, Node, graph_keys
from thvideo.stages.base import Job, Notice, Progress, StageEvent, parameters
from thvideo.workspace.manifest import InputFile, Manifest
from thvideo.workspace.store import Workspace

TEXT = "text.txt"


def note(line: str) -> None:
    """Append a line to the log that tests count; one write, so that processes do not mix."""
    with Path(os.environ["TOY_LOG"]).open("a") as log:
        log.write(line + "\n")


@dataclass(frozen=True)
class Read:
    """Copies a file."""

    name: ClassVar[str] = "read"
    version: ClassVar[int] = 1

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        note(f"read {job.files['file'].name}")
        with job.chunks.writing(TEXT) as temporary:
            temporary.write_text(job.files["file"].read_text())
        yield Progress(1, 1)


@dataclass(frozen=True)
class Shout:
    """Writes its input in capitals, with marks behind."""

    name: ClassVar[str] = "shout"
    version: ClassVar[int] = 1
    marks: int = 1
    strength: float = 1.0

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        note("shout")
        text = job.inputs["text"].file(TEXT).read_text()
        with job.chunks.writing(TEXT) as temporary:
            temporary.write_text(text.upper() + "!" * self.marks)
        job.facts["n_frames"] = len(text)
        yield Notice("that was loud")


@dataclass(frozen=True)
class Join:
    """Joins all its inputs in the order of their roles."""

    name: ClassVar[str] = "join"
    version: ClassVar[int] = 1
    between: str = " "

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        note("join")
        texts = [job.inputs[role].file(TEXT).read_text() for role in sorted(job.inputs)]
        with job.chunks.writing(TEXT) as temporary:
            temporary.write_text(self.between.join(texts))
        yield Progress(1, None)


@dataclass(frozen=True)
class Idle:
    """Never has anything to do."""

    name: ClassVar[str] = "idle"
    version: ClassVar[int] = 1

    def skip_reason(self) -> str | None:
        return "there is nothing to do here"

    def run(self, job: Job) -> Iterator[StageEvent]:
        raise AssertionError("a skipped stage ran")


@dataclass(frozen=True)
class Count:
    """Counts in chunks, slowly."""

    name: ClassVar[str] = "count"
    version: ClassVar[int] = 1
    n_chunks: int = 6
    seconds_each: float = 0.1

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        for index in range(self.n_chunks):
            name = f"{index:03d}.txt"
            if not job.chunks.is_done(name):
                with job.chunks.writing(name) as temporary:
                    temporary.write_text(f"{index} ")
                    time.sleep(self.seconds_each)
                note(f"chunk {index}")
            yield Progress(index + 1, self.n_chunks, "chunks")


@dataclass(frozen=True)
class Fail:
    """Raises what it is told to."""

    name: ClassVar[str] = "fail"
    version: ClassVar[int] = 1
    errors: ClassVar[dict[str, BaseException]] = {}
    error: str = ""

    def skip_reason(self) -> str | None:
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        with job.chunks.writing(TEXT) as temporary:
            temporary.write_text("half")
        yield Progress(1, 2)
        raise self.errors[self.error]


def speech(folder: Path, *, marks: int = 1, strength: float = 1.0, between: str = " ") -> Graph:
    """Return a graph: two files are read, one is shouted, both are joined."""
    nodes = (
        Node("read a", Read(), files={"file": folder / "a.txt"}),
        Node("read b", Read(), files={"file": folder / "b.txt"}),
        Node("shout", Shout(marks, strength), {"text": "read b"}),
        Node("idle", Idle(), {"text": "read a"}),
        Node("join", Join(between), {"a": "read a", "b": "shout", "c": "idle"}),
    )
    return Graph(nodes, "join")


def write_words(folder: Path) -> Path:
    """Write the files that ``speech`` reads."""
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("hello")
    (folder / "b.txt").write_text("world")
    return folder


FACTS: dict[str, dict[str, Any]] = {
    "extract": {
        "kind": "video",
        "n_frames": 240,
        "rate": "24000/1001",
        "duration_s": 10.01,
        "size": [480, 640],
        "cuts": [100],
    },
    "track": {"n_frames": 240, "no_face_spans": [[3, 5, 0.125, 0.208]]},
    "finetune": {"steps": 9, "curve": []},
    "composite": {"file": "video.mp4", "n_frames": 240, "drift": {"end_drift_ms": 0.0}},
    "compare": {"file": "compare.mp4"},
}


def fill(workspace: Workspace, graph: Graph) -> None:
    """Publish a stand-in for every artifact of a graph that is not there."""
    keys = graph_keys(graph, workspace.digests)
    for node in graph.nodes:
        if node.id not in keys:
            continue
        facts = FACTS.get(node.stage.name, {})
        with workspace.building(node.stage.name, keys[node.id]) as build:
            if build.existing is not None:
                continue
            with build.chunks.writing(str(facts.get("file", "data.bin"))) as temporary:
                temporary.write_text(f"stand-in {keys[node.id]}")
            build.publish(
                Manifest(
                    key=keys[node.id],
                    stage=node.stage.name,
                    version=node.stage.version,
                    parameters=parameters(node.stage),
                    inputs={role: keys[i] for role, i in node.inputs.items() if i in keys},
                    files={
                        role: InputFile(
                            workspace.digests.digest(path), path.stat().st_size, path.name
                        )
                        for role, path in node.files.items()
                    },
                    facts=facts,
                    seconds=2.0,
                    peak_bytes=1000,
                    versions={"thvideo": "0.1.0"},
                    made_at="2026-01-01T00:00:00+00:00",
                )
            )
