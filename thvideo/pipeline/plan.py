"""The plan: what runs, what is reused, and why, in plain words; a run follows the same plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from thvideo.pipeline.graph import Graph, Node, downstream, forced_nodes, graph_keys
from thvideo.stages.base import parameters
from thvideo.workspace.keys import canonical
from thvideo.workspace.manifest import Manifest
from thvideo.workspace.store import Artifact, Workspace

Action = Literal["run", "reuse", "skip"]

NOT_MADE = "not made yet"
FORCED = "forced"


@dataclass(frozen=True)
class Step:
    """What happens to one node.

    Args:
        node: The node.
        key: Its key; empty when it is skipped.
        action: Whether it runs, its artifact is reused, or there is nothing to do.
        reason: Why, in plain words.
        forced: Whether it is made again although it may exist.
        artifact: What is reused.
    """

    node: Node
    key: str
    action: Action
    reason: str
    forced: bool = False
    artifact: Artifact | None = field(default=None, repr=False)


def plan(graph: Graph, workspace: Workspace, force: tuple[str, ...] = ()) -> list[Step]:
    """Decide for every node whether it runs, changing nothing.

    Args:
        graph: What is wanted.
        workspace: What there is.
        force: Stages or node ids that run again, and with them all that depends on them.

    Raises:
        UsageError: ``force`` names something unknown.
        InputError: A file of the person cannot be read.
    """
    named = frozenset(
        node_id
        for node_id in forced_nodes(graph, force)
        if graph.node(node_id).stage.skip_reason() is None
    )
    forced = downstream(graph, named)
    keys = graph_keys(graph, workspace.digests)
    steps: dict[str, Step] = {}
    runs: dict[str, Step] = {}
    for node in graph.nodes:
        skip_reason = node.stage.skip_reason()
        if skip_reason is not None:
            steps[node.id] = Step(node, "", "skip", skip_reason)
            continue
        key = keys[node.id]
        twin = next((step for step in steps.values() if step.key == key), None)
        if twin is not None:
            steps[node.id] = Step(node, key, "reuse", f"the same as {twin.node.id}")
            continue
        fed_by = [steps[made_by].key for made_by in node.inputs.values()]
        running = [runs[input_key] for input_key in fed_by if input_key in runs]
        if node.id in forced:
            reason = FORCED if node.id in named else _because(running)
            steps[node.id] = runs[key] = Step(node, key, "run", reason, forced=True)
            continue
        seen = workspace.look(node.stage.name, key)
        if seen.artifact is not None:
            reason = "made already"
            steps[node.id] = Step(node, key, "reuse", reason, artifact=seen.artifact)
            continue
        if seen.damage:
            reason = f"damaged: {seen.damage}"
        else:
            reason = _why_not_made(node, keys, running, workspace)
        if workspace.n_chunks_left(key):
            reason += "; goes on from an interrupted run"
        steps[node.id] = runs[key] = Step(node, key, "run", reason)
    return list(steps.values())


def _because(running: list[Step]) -> str:
    names = list(dict.fromkeys(step.node.id for step in running))
    if len(names) > 2:
        names = [*names[:1], f"{len(names) - 1} more"]
    return f"because {' and '.join(names)} run{'s' if len(names) == 1 else ''}"


def _why_not_made(
    node: Node, keys: Mapping[str, str], running: list[Step], workspace: Workspace
) -> str:
    likest = _likest(node, keys, workspace)
    changes = [] if likest is None else _changes(node, likest, workspace)
    if running:
        return "; ".join([*changes, _because(running)])
    if likest is None:
        return NOT_MADE
    return "; ".join(changes) or "not made yet from these inputs"


def _likest(node: Node, keys: Mapping[str, str], workspace: Workspace) -> Manifest | None:
    """Return the manifest of the same stage with the fewest differences, the newest of them."""
    wanted = canonical(parameters(node.stage))

    def likeness(manifest: Manifest) -> tuple[int, int, int, str]:
        inputs = sum(
            manifest.inputs.get(role) == keys.get(made_by) for role, made_by in node.inputs.items()
        )
        names = sum(
            role in manifest.files and manifest.files[role].name == path.name
            for role, path in node.files.items()
        )
        fields = sum(manifest.parameters.get(name) == value for name, value in wanted.items())
        return inputs, names, fields, manifest.made_at

    return max(workspace.manifests(node.stage.name), key=likeness, default=None)


def _changes(node: Node, old: Manifest, workspace: Workspace) -> list[str]:
    """Say in which own properties a node differs from an artifact; inputs are not its own."""
    changes = []
    if old.version != node.stage.version:
        changes.append(f"the stage is version {node.stage.version}, was {old.version}")
    new_values: dict[str, Any] = canonical(parameters(node.stage))
    old_values: dict[str, Any] = canonical(old.parameters)
    changes += [
        f"{name}: {old_values[name]} -> {value}" if name in old_values else f"{name}: {value}"
        for name, value in new_values.items()
        if name not in old_values or old_values[name] != value
    ]
    for role, path in node.files.items():
        known = old.files.get(role)
        if known is None:
            changes.append(f"{path.name} is new")
        elif workspace.digests.digest(path) != known.digest:
            same_name = known.name == path.name
            changes.append(f"{path.name} changed" if same_name else f"{path.name} is new")
    changes += [f"no {role} file any more" for role in old.files if role not in node.files]
    return changes
