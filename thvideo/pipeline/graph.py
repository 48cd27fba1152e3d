"""The graph: which stages make the output, and what feeds what."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from thvideo.errors import InputError, UsageError
from thvideo.models.content_weights import FEW_SHOT_CONTENT
from thvideo.models.perceptual_files import check_perceptual_file
from thvideo.models.precision import Precision
from thvideo.pipeline.recipe import CONTAINERS, Recipe, nearest
from thvideo.pipeline.versions import version_of
from thvideo.stages.base import Container, Stage, parameters
from thvideo.stages.compare import Compare
from thvideo.stages.composite import CROPS, AudioChoice, Composite
from thvideo.stages.embed import Embed
from thvideo.stages.extract import Extract, plain_suffix
from thvideo.stages.finetune import Finetune
from thvideo.stages.reenact import Reenact
from thvideo.stages.track import Track
from thvideo.weights.cards import card_inside, shipped_names, shipped_weight
from thvideo.weights.load import check_generator
from thvideo.workspace.keys import DigestMemo, stage_key

#: Weights that ship and shape results: the tracker's, and the mean face that landmarks are read by.
TRACKER_WEIGHTS, FACE_MODEL = ("tracker_detector", "tracker_landmarks"), "face_model"

StageName = Literal["extract", "track", "embed", "finetune", "reenact", "composite", "compare"]


@dataclass(frozen=True)
class Node:
    """One stage with what it is fed.

    Args:
        id: Its name to the person, such as "track driver".
        stage: What runs.
        inputs: Ids of the nodes whose artifacts it needs, by role.
        files: The person's files it needs, by role.
        takes: The role of the input whose frames it can take while they are made, so that it
            runs beside the node before it; None if it needs every artifact whole.
        is_aside: Whether it may be made beside the nodes that do not need it, in a thread.
    """

    id: str
    stage: Stage
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    takes: str | None = None
    is_aside: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run.

    Args:
        nodes: Every node comes after those it needs.
        target: Id of the node whose artifact is wanted.
        recipe: What the person asked for; None when nothing is delivered.
    """

    nodes: tuple[Node, ...]
    target: str
    recipe: Recipe | None = None

    def node(self, node_id: str) -> Node:
        """Return the node of an id."""
        return next(node for node in self.nodes if node.id == node_id)


def reenact_graph(recipe: Recipe) -> Graph:
    """Return the graph of a whole reenactment, from the files to the delivered video.

    Raises:
        UsageError: The recipe lacks a source, a driver or an output.
    """
    if recipe.output is None:
        raise UsageError("no output is given", hint="add -o out.mp4")
    nodes = _all_nodes(recipe)
    return Graph(tuple(nodes), "composite", recipe)


def stage_graph(stage: StageName, recipe: Recipe) -> Graph:
    """Return the part of the graph that ends in one stage; nothing is delivered.

    ``extract`` and ``track`` work on the recipe's first source, or on its driver if it has none.

    Raises:
        UsageError: The recipe lacks a file that the stage needs.
    """
    nodes = _all_nodes(recipe, stage)
    target = next(node for node in nodes if node.stage.name == stage)
    return Graph(_with_all_they_need(nodes, [target.id]), target.id)


def graph_keys(graph: Graph, digests: DigestMemo) -> dict[str, str]:
    """Return the key of every node that is not skipped, in order.

    Raises:
        InputError: A file of the person cannot be read.
    """
    keys: dict[str, str] = {}
    for node in graph.nodes:
        if node.stage.skip_reason() is None:
            keys[node.id] = stage_key(
                node.stage.name,
                node.stage.version,
                parameters(node.stage),
                # A skipped node has no key: its role is left out downstream.
                {role: keys[made_by] for role, made_by in node.inputs.items() if made_by in keys},
                {role: digests.digest(path) for role, path in node.files.items()},
            )
    return keys


def downstream(graph: Graph, node_ids: frozenset[str]) -> frozenset[str]:
    """Return the given nodes and all that need them."""
    reached = set(node_ids)
    for node in graph.nodes:
        if reached & set(node.inputs.values()):
            reached.add(node.id)
    return frozenset(reached)


def forced_nodes(graph: Graph, force: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of the nodes that are named, by stage or by id.

    Raises:
        UsageError: A name is neither.
    """
    stages = {node.stage.name for node in graph.nodes}
    ids = {node.id for node in graph.nodes}
    for name in force:
        if name not in stages | ids:
            raise UsageError(
                f"there is no stage {name!r} to force", hint=nearest(name, stages | ids)
            )
    return frozenset(node.id for node in graph.nodes if {node.id, node.stage.name} & set(force))


def _all_nodes(recipe: Recipe, until: StageName = "composite") -> list[Node]:
    single = until in ("extract", "track")
    needs_driver = until in ("reenact", "composite", "compare")
    if not recipe.sources and not (single and recipe.driver):
        raise UsageError("no source is given", hint="add --source with a picture or a video")
    if needs_driver and recipe.driver is None:
        raise UsageError("no driver is given", hint="add --driver with a video")
    nodes: list[Node] = []
    frames, landmarks = [], []
    for number, path in enumerate(recipe.sources, start=1):
        source = _extract(f"extract source {number}", path, is_aside=True)
        frames.append(_add(nodes, source))
        landmarks.append(_add(nodes, _track_source(recipe, number, frames[-1])))
    if recipe.driver is not None:
        driver = _add(nodes, _extract("extract driver", recipe.driver))
        moved_by = _add(nodes, _track(recipe, "driver", recipe.driver_face, driver))
    if single:
        return nodes
    embed_inputs = {f"frames_{i}": made_by for i, made_by in enumerate(frames)}
    embed_inputs |= {f"landmarks_{i}": made_by for i, made_by in enumerate(landmarks)}
    # Crops of a side that is given are the same whatever the output's.
    shown = {} if recipe.size else {"max_side": recipe.max_side}
    embed = Embed(recipe.generator, recipe.size, shots=recipe.shots, **shown)
    learned = _weights_of(recipe) | _shipped(FACE_MODEL)
    nodes.append(Node("embed", embed, embed_inputs, learned, is_aside=True))
    finetune = Finetune(recipe.generator, recipe.finetune_steps, recipe.seed)
    looked_through = _perceptual_of(recipe, finetune)
    nodes.append(Node("finetune", finetune, {"identity": "embed"}, learned | looked_through))
    if recipe.driver is None:
        return nodes
    reenact = Reenact(
        generator=recipe.generator,
        motion=recipe.motion,
        pose=recipe.pose,
        mouth=recipe.mouth,
        eyes=recipe.eyes,
        brows=recipe.brows,
        gaze=recipe.gaze,
        precision="fp32" if recipe.generator == "warp" else _precision(recipe),
    )
    reenact_inputs = {"identity": "embed", "driver": moved_by, "personal": "finetune"}
    nodes.append(Node("reenact", reenact, reenact_inputs, learned))
    nodes.append(_composite(recipe, driver))
    if recipe.compare or until == "compare":
        compared = {"identity": "embed", "driver": driver, "video": "composite"}
        nodes.append(Node("compare", Compare(), compared))
    return nodes


def _weights_of(recipe: Recipe) -> dict[str, Path]:
    """Return the weights file of a learned generator, by its role."""
    if recipe.generator == "warp":
        if recipe.weights is not None or recipe.finetune_steps:
            raise UsageError(
                "the warp generator takes no weights and has nothing to fine-tune",
                hint="add --generator swift, or paper",
            )
        return {}
    chosen = recipe.generator if recipe.weights is None else recipe.weights
    if str(chosen) in shipped_names():
        path = shipped_weight(str(chosen))
        check_generator(path, recipe.generator)
        return {"weights": path}
    if recipe.weights is None:
        raise InputError(
            f"no weights of the {recipe.generator} generator ship with this version",
            hint="give some with --weights FILE; thvideo metatrain and thvideo weights export "
            "make them",
        )
    path = Path(recipe.weights)
    # Said before a driver is tracked for nothing. A file that is not there is told elsewhere.
    if path.is_file() and path.stat().st_size:
        check_generator(path, recipe.generator)
        if not card_inside(path):
            # It says what is built and how it is tuned; no digest of the weights covers that.
            return {"weights": path, "card": path.with_suffix(".json")}
    return {"weights": path}


def _perceptual_of(recipe: Recipe, finetune: Finetune) -> dict[str, Path]:
    """Return the files of the perceptual networks that fine-tuning looks through, by name."""
    if recipe.perceptual and finetune.skip_reason() is not None:
        raise UsageError(
            "--perceptual is for fine-tuning, and nothing is fine-tuned",
            hint="add --finetune-steps -1, or leave it out",
        )
    for name, _ in recipe.perceptual:
        if name not in FEW_SHOT_CONTENT:
            raise UsageError(
                f"fine-tuning cannot look through {name!r}", hint=nearest(name, FEW_SHOT_CONTENT)
            )
    if len(dict(recipe.perceptual)) < len(recipe.perceptual):
        raise UsageError("a perceptual network is given twice", hint="one --perceptual a NAME")
    for name, path in recipe.perceptual:
        # As with weights: said before a driver is tracked for nothing.
        if path.is_file() and path.stat().st_size:
            check_perceptual_file(name, path)
    return dict(recipe.perceptual)


def _extract(node_id: str, path: Path, *, is_aside: bool = False) -> Node:
    stage = Extract(suffix=plain_suffix(path))
    return Node(node_id, stage, files={"file": path}, is_aside=is_aside)


def _track_source(recipe: Recipe, number: int, frames: str) -> Node:
    node = _track(recipe, f"source {number}", recipe.face, frames)
    if recipe.face_like is not None:
        stage = replace(node.stage, face="like")
        node = replace(node, stage=stage, files={**node.files, "like": recipe.face_like})
    return replace(node, is_aside=True)


def _track(recipe: Recipe, of: str, face: str, frames: str) -> Node:
    stage = Track(recipe.tracker, face, recipe.no_face, recipe.smooth)
    if recipe.tracker == "bundled":
        stage = replace(stage, precision=_precision(recipe))
        files = _shipped(*TRACKER_WEIGHTS)
    else:
        # Its weights are fetched when it is first used; which ones, its version says.
        stage = replace(stage, package=version_of(recipe.tracker))
        files = {}
    return Node(f"track {of}", stage, {"frames": frames}, files | _shipped(FACE_MODEL))


def _precision(recipe: Recipe) -> Precision:
    return "fp32" if recipe.precision == "auto" else recipe.precision


def _shipped(*names: str) -> dict[str, Path]:
    """Weights that ship, by role: a stage's result is another one with other weights."""
    return {name: shipped_weight(name) for name in names}


def _composite(recipe: Recipe, driver: str) -> Node:
    extension = recipe.output.suffix[1:].lower() if recipe.output is not None else CONTAINERS[0]
    if extension not in CONTAINERS:
        raise UsageError(
            f"{recipe.output} has no known extension",
            hint=f"use one of {', '.join('.' + name for name in CONTAINERS)}",
        )
    audio = recipe.audio
    stage = Composite(
        framing=recipe.framing,
        max_side=recipe.max_side,
        container=cast(Container, extension),
        audio="file" if isinstance(audio, Path) else cast(AudioChoice, audio),
        crf=recipe.crf,
    )
    inputs = {"identity": "embed", CROPS: "reenact", "driver": driver}
    files = {"audio": audio} if isinstance(audio, Path) else {}
    return Node("composite", stage, inputs, files, takes=CROPS)


def _add(nodes: list[Node], node: Node) -> str:
    """Add a node unless an equal one is there, and return the id of the one that serves."""
    for other in nodes:
        if (other.stage, other.inputs) == (node.stage, node.inputs) and _same_files(other, node):
            return other.id
    nodes.append(node)
    return node.id


def _same_files(one: Node, other: Node) -> bool:
    ours, theirs = (
        {role: os.path.realpath(path) for role, path in node.files.items()} for node in (one, other)
    )
    return ours == theirs


def _with_all_they_need(nodes: list[Node], wanted: list[str]) -> tuple[Node, ...]:
    needed = set(wanted)
    for node in reversed(nodes):
        if node.id in needed:
            needed |= set(node.inputs.values())
    return tuple(node for node in nodes if node.id in needed)
