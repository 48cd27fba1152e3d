"""The runner: follows the plan, makes each artifact under its lock, and yields events."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from thvideo.errors import DeviceError, InputError, ThvideoError, WorkspaceError
from thvideo.pipeline import events
from thvideo.pipeline.deliver import deliver
from thvideo.pipeline.graph import Graph, graph_keys
from thvideo.pipeline.memory import MemoryMeter
from thvideo.pipeline.plan import Step, plan
from thvideo.pipeline.report import Made, comparison_path, report_path, write_report
from thvideo.pipeline.versions import versions
from thvideo.stages.base import Job, Notice, Resources, parameters
from thvideo.workspace.durable import disk_full, is_disk_full
from thvideo.workspace.keys import stage_key
from thvideo.workspace.manifest import InputFile, Manifest
from thvideo.workspace.store import Artifact, Build, Workspace, utc_now


def run(
    graph: Graph,
    workspace: Workspace,
    resources: Resources,
    force: tuple[str, ...] = (),
) -> Iterator[events.Event]:
    """Make what the graph asks for, deliver it, and yield what happens.

    Args:
        graph: What is wanted.
        workspace: Where it is made; finished artifacts in it are reused.
        resources: How to run.
        force: Stages or node ids that run again, and with them all that depends on them.

    Raises:
        ThvideoError: A stage failed; what is finished stays for the next run.
    """
    started_s = time.monotonic()
    keys = graph_keys(graph, workspace.digests)
    with workspace.using(keys.values()):
        steps = plan(graph, workspace, force)
        yield events.RunStarted(
            tuple(step.node.id for step in steps),
            tuple(step.node.id for step in steps if step.action == "run"),
        )
        made: dict[str, Made] = {}
        for step in steps:
            yield from _follow(step, made, workspace, resources)
        output, report = None, None
        if graph.recipe is not None and graph.recipe.output is not None:
            output = graph.recipe.output
            yield from _deliver(made, output, workspace)
            report = write_report(graph, graph.recipe, made, report_path(output))
    target = made.get(graph.target)
    yield events.RunFinished(
        output, report, target.artifact.path if target else None, time.monotonic() - started_s
    )


def _follow(
    step: Step, made: dict[str, Made], workspace: Workspace, resources: Resources
) -> Iterator[events.Event]:
    node = step.node
    if step.action == "skip":
        yield events.NodeSkipped(node.id, step.reason)
        return
    if step.action == "reuse":
        # Without an artifact of its own, a step reuses what an earlier node of the same key made.
        artifact = step.artifact or next(
            other.artifact for other in made.values() if other.step.key == step.key
        )
        workspace.mark_used(artifact)
        made[node.id] = Made(step, artifact, ran=False)
        yield events.NodeReused(node.id, step.key)
        return
    yield events.NodeStarted(node.id, node.stage.name, step.reason)
    if workspace.is_locked(step.key):
        yield events.NodeNotice(node.id, "another run is making this; waiting for it")
    with workspace.building(node.stage.name, step.key, anew=step.forced) as build:
        for text in workspace.take_notices():
            yield events.NodeNotice(node.id, text)
        if build.existing is not None:
            made[node.id] = Made(step, build.existing, ran=False)
            yield events.NodeReused(node.id, step.key)
            return
        inputs = {
            role: made[made_by].artifact for role, made_by in node.inputs.items() if made_by in made
        }
        with _failures_explained(workspace.root):
            artifact = yield from _make(step, inputs, build, workspace, resources)
    made[node.id] = Made(step, artifact, ran=True)
    manifest = artifact.manifest
    yield events.NodeFinished(node.id, step.key, manifest.seconds, manifest.peak_bytes)


def _make(
    step: Step,
    inputs: dict[str, Artifact],
    build: Build,
    workspace: Workspace,
    resources: Resources,
) -> Generator[events.Event, None, Artifact]:
    """Run a stage and publish its artifact, which is the generator's return value."""
    node, stage = step.node, step.node.stage
    job = Job(inputs, node.files, build.chunks, resources)
    meter, started_s = MemoryMeter(), time.monotonic()
    happenings = stage.run(job)
    try:
        for event in happenings:
            meter.sample()
            if isinstance(event, Notice):
                yield events.NodeNotice(node.id, event.text)
            else:
                yield events.NodeProgress(node.id, event.done, event.total, event.unit)
    finally:
        # Stops the stage's child processes at once, not when it is collected as garbage.
        if isinstance(happenings, Generator):
            happenings.close()
    manifest = Manifest(
        key=step.key,
        stage=stage.name,
        version=stage.version,
        parameters=parameters(stage),
        inputs={role: artifact.key for role, artifact in inputs.items()},
        files={role: _input_file(path, workspace) for role, path in node.files.items()},
        facts=job.facts,
        seconds=round(time.monotonic() - started_s, 3),
        peak_bytes=meter.peak_bytes(),
        versions=versions(),
        made_at=utc_now(),
    )
    _check_unchanged(step, manifest)
    return build.publish(manifest)


def _input_file(path: Path, workspace: Workspace) -> InputFile:
    return InputFile(workspace.digests.digest(path), path.stat().st_size, path.name)


def _check_unchanged(step: Step, manifest: Manifest) -> None:
    """Refuse to publish under a key what was made of other bytes than the key says."""
    digests = {role: file.digest for role, file in manifest.files.items()}
    wanted = stage_key(
        manifest.stage, manifest.version, manifest.parameters, manifest.inputs, digests
    )
    if wanted != step.key:
        names = ", ".join(str(path) for path in step.node.files.values())
        raise InputError(
            f"{names} changed during the run", hint="run again when the file is complete"
        )


@contextmanager
def _failures_explained(place: Path) -> Iterator[None]:
    """Turn a full disk and a full memory, however a library tells of them, into our errors."""
    try:
        yield
    except (OSError, ThvideoError) as error:
        if is_disk_full(error):
            raise disk_full(place) from error
        if isinstance(error, OSError) and _lies_in(error.filename, place):
            raise WorkspaceError(
                f"{error.filename} cannot be used ({error.strerror})",
                hint="run again, or pass --workspace DIR with another folder",
            ) from error
        raise
    except Exception as error:
        # torch names its own error so; it is not imported here.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            raise DeviceError(
                "there is not enough memory", hint="run again with --batch-size 1"
            ) from error
        raise


def _lies_in(file_name: object, folder: Path) -> bool:
    return isinstance(file_name, str | Path) and Path(file_name).is_relative_to(folder)


def _deliver(
    made: Mapping[str, Made], output: Path, workspace: Workspace
) -> Iterator[events.Event]:
    places = {"composite": output, "compare": comparison_path(output)}
    for node_id, place in places.items():
        if node_id in made:
            copied = deliver(made[node_id].artifact, place, workspace.digests)
            yield events.Delivered(place, copied)
