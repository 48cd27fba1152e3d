"""The report beside the output: what was made of what, how exactly, how fast, in JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thvideo.errors import WorkspaceError
from thvideo.pipeline.graph import Graph, Node
from thvideo.pipeline.plan import Step
from thvideo.pipeline.recipe import Recipe
from thvideo.reading import json_of
from thvideo.workspace.durable import is_disk_full, write_whole
from thvideo.workspace.facts import is_number
from thvideo.workspace.manifest import Manifest, plain
from thvideo.workspace.store import Artifact

SCHEMA = "thvideo-report/1"
_NOT_SETTINGS = frozenset({"sources", "driver", "output", "workspace", "force"})


@dataclass(frozen=True)
class Made:
    """The artifact of a node in this run.

    Args:
        step: What was planned.
        artifact: What serves.
        ran: Whether this run made it.
    """

    step: Step
    artifact: Artifact
    ran: bool


def report_path(output: Path) -> Path:
    """Return where the report of an output lies: ``out.json`` beside ``out.mp4``."""
    return output.with_suffix(".json")


def comparison_path(output: Path) -> Path:
    """Return where the comparison of an output lies: ``out.compare.mp4`` beside ``out.mp4``."""
    return output.with_name(f"{output.stem}.compare.mp4")


def is_report(path: Path) -> bool:
    """Tell whether a file is a report that a new one may replace."""
    try:
        content = json_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def write_report(graph: Graph, recipe: Recipe, made: Mapping[str, Made], path: Path) -> Path:
    """Write the report of a run.

    Args:
        graph: What was made.
        recipe: What was asked for.
        made: Artifacts by node id.
        path: Where to write.

    Raises:
        WorkspaceError: The place cannot be written.
    """
    text = json.dumps(make_report(graph, recipe, made), indent=2, allow_nan=False, default=plain)
    try:
        write_whole(path, text + "\n")
    except OSError as error:
        raise WorkspaceError(
            f"the report {path} cannot be written ({error.strerror})",
            hint="the video itself is complete: "
            + ("free some space and run again" if is_disk_full(error) else "pass another -o"),
        ) from error
    return path


def make_report(graph: Graph, recipe: Recipe, made: Mapping[str, Made]) -> dict[str, Any]:
    """Return the report's content, of the nodes of ``reenact_graph``."""
    footage = _feeding(graph, "composite", "driver", made)
    motion = _feeding(graph, "reenact", "driver", made)
    result = made[graph.target].artifact.manifest
    sources = [_feeding(graph, "embed", f"frames_{i}", made) for i in range(len(recipe.sources))]
    return {
        "schema": SCHEMA,
        "synthetic": True,
        "output": str(recipe.output),
        "comparison": str(comparison_path(recipe.output))
        if recipe.output is not None and "compare" in made
        else None,
        "sources": [_file(manifest) for manifest in sources],
        "driver": _file(footage),
        "settings": _settings(recipe),
        "times": {name: footage.facts.get(name) for name in ("n_frames", "rate", "duration_s")},
        "drift": result.facts.get("drift"),
        "sound": result.facts.get("sound"),
        "no_face_spans": motion.facts.get("no_face_spans", []),
        "cuts": footage.facts.get("cuts", []),
        "finetune": _finetuned(made.get("finetune")),
        "stages": [_stage(node, made.get(node.id)) for node in graph.nodes],
        "versions": result.versions,
    }


def _feeding(graph: Graph, node_id: str, role: str, made: Mapping[str, Made]) -> Manifest:
    return made[graph.node(node_id).inputs[role]].artifact.manifest


def _file(extracted: Manifest) -> dict[str, Any]:
    file = extracted.files["file"]
    return {
        "name": file.name,
        "sha256": file.digest,
        "size_bytes": file.size,
        "kind": extracted.facts.get("kind"),
        "n_frames": extracted.facts.get("n_frames"),
        "size_px": extracted.facts.get("size"),
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    values = {name: value for name, value in vars(recipe).items() if name not in _NOT_SETTINGS}
    values["perceptual"] = {name: str(path) for name, path in recipe.perceptual}
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in values.items()
    }


def _finetuned(made: Made | None) -> dict[str, Any] | None:
    """How the generator came closer to the source: measurements by step; None if it did not."""
    if made is None:
        return None
    told = made.artifact.manifest.facts
    return {name: told.get(name) for name in ("steps", "curve")}


def _stage(node: Node, made: Made | None) -> dict[str, Any]:
    if made is None:
        return {"id": node.id, "action": "skip", "reason": node.stage.skip_reason()}
    manifest = made.artifact.manifest
    n_frames = manifest.facts.get("n_frames")
    if not is_number(n_frames):
        n_frames = 0
    return {
        "id": node.id,
        "action": "run" if made.ran else "reuse",
        "reason": made.step.reason,
        # Of a reused artifact these are the figures of the run that made it.
        "seconds": manifest.seconds,
        "frames_per_s": round(n_frames / manifest.seconds, 2)
        if n_frames and manifest.seconds > 0
        else None,
        "peak_bytes": manifest.peak_bytes,
        "key": manifest.key,
    }
