"""The runner: follows the plan, makes each artifact under its lock, and yields events."""

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from thvideo.errors import ThvideoError, WorkspaceError, is_out_of_memory, no_memory
from thvideo.pipeline import events
from thvideo.pipeline.beside import Beside, parts_of
from thvideo.pipeline.check import sound_notices
from thvideo.pipeline.deliver import deliver
from thvideo.pipeline.graph import Graph, graph_keys
from thvideo.pipeline.making import Making
from thvideo.pipeline.plan import Step, plan
from thvideo.pipeline.report import Made, comparison_path, report_path, write_report
from thvideo.stages.base import Job, Resources
from thvideo.stages.handover import Handover
from thvideo.workspace.durable import disk_full, is_disk_full, lies_in
from thvideo.workspace.health import DamagedError
from thvideo.workspace.store import Workspace

#: An artifact that is damaged again and again is not made more often: the disk is at fault.
_MOST_DAMAGES = 3


@dataclass(frozen=True)
class _Place:
    """Where and how nodes are made.

    Args:
        workspace: Holds the artifacts.
        resources: How to run.
        meanwhile: Called while another process is waited for; what it raises ends the wait.
    """

    workspace: Workspace
    resources: Resources
    meanwhile: Callable[[], None] = lambda: None


def run(
    graph: Graph,
    workspace: Workspace,
    resources: Resources,
    force: tuple[str, ...] = (),
) -> Iterator[events.Event]:
    """Make what the graph asks for, deliver it, and yield what happens.

    What turns out to be damaged when it is used is set aside and made again.

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
    with workspace.locks.using(keys.values()):
        steps = plan(graph, workspace, force)
        yield events.RunStarted(
            tuple(step.node.id for step in steps),
            tuple(step.node.id for step in steps if step.action == "run"),
        )
        if graph.recipe is not None and any(
            step.node.id == "composite" and step.action == "run" for step in steps
        ):
            for text in sound_notices(graph.recipe):
                yield events.NodeNotice("composite", text)
        made: dict[str, Made] = {}
        place = _Place(workspace, resources)
        damaged: Counter[str] = Counter()
        while True:
            try:
                yield from _make(steps, made, place)
                output, report = yield from _finish(graph, made, workspace)
                break
            except DamagedError as damage:
                damaged[damage.key] += 1
                if damaged[damage.key] > _MOST_DAMAGES or workspace.is_read_only:
                    raise
                yield from _put_away(damage, steps, made, workspace)
                steps = _left(plan(graph, workspace, _still_forced(steps, made)), made)
    target = made.get(graph.target)
    yield events.RunFinished(
        output, report, target.artifact.path if target else None, time.monotonic() - started_s
    )


def _make(steps: Sequence[Step], made: dict[str, Made], place: _Place) -> Iterator[events.Event]:
    if any(step.action == "run" for step in steps):
        place.workspace.check_writable()
    aside, first, rest = parts_of(steps)
    yield from _follow_side_by_side(aside, first, made, place)
    yield from _follow_all(rest, made, place)


def _finish(
    graph: Graph, made: Mapping[str, Made], workspace: Workspace
) -> Generator[events.Event, None, tuple[Path | None, Path | None]]:
    """Deliver what was asked for and return the output and its report."""
    if graph.recipe is None or graph.recipe.output is None:
        return None, None
    output = graph.recipe.output
    yield from _deliver(made, output, workspace)
    return output, write_report(graph, graph.recipe, made, report_path(output))


def _put_away(
    damage: DamagedError, steps: Sequence[Step], made: dict[str, Made], workspace: Workspace
) -> Iterator[events.Event]:
    """Set aside what is damaged, and forget that it was made."""
    if damage.stage:
        workspace.set_aside(damage.stage, damage.key, damage.reason)
    ids = [step.node.id for step in steps if step.key == damage.key]
    ids += [node_id for node_id, one in made.items() if one.step.key == damage.key]
    for node_id in ids:
        made.pop(node_id, None)
    for text in workspace.take_notices():
        yield events.NodeNotice(ids[0], text)


def _still_forced(steps: Sequence[Step], made: Mapping[str, Made]) -> tuple[str, ...]:
    return tuple(step.node.id for step in steps if step.forced and step.node.id not in made)


def _left(steps: Sequence[Step], made: Mapping[str, Made]) -> list[Step]:
    """Return the steps of which nothing was told yet."""
    return [step for step in steps if step.node.id not in made and step.action != "skip"]


def _follow_side_by_side(
    aside: Sequence[Step], first: Sequence[Step], made: dict[str, Made], place: _Place
) -> Iterator[events.Event]:
    """Follow steps here, and beside them others that need nothing of them, nor they of those."""
    if not aside:
        return
    made_aside: dict[str, Made] = {}

    def follow_aside(meanwhile: Callable[[], None]) -> Generator[events.Event, None, None]:
        return _follow_all(aside, made_aside, replace(place, meanwhile=meanwhile))

    try:
        with Beside("aside", follow_aside) as beside:
            here = replace(place, meanwhile=beside.check)
            for event in _follow_all(first, made, here):
                yield from beside.told_well()
                yield event
            yield from beside.to_the_end()
    finally:
        made |= made_aside


def _follow_all(
    steps: Sequence[Step], made: dict[str, Made], place: _Place
) -> Generator[events.Event, None, None]:
    waiting = deque(steps)
    while waiting:
        step = waiting.popleft()
        if waiting and _runs_beside(waiting[0], step):
            yield from _follow_both(step, waiting.popleft(), made, place)
        else:
            yield from _follow(step, made, place)


def _follow(step: Step, made: dict[str, Made], place: _Place) -> Iterator[events.Event]:
    node = step.node
    if step.action == "skip":
        yield events.NodeSkipped(node.id, step.reason)
        return
    if step.action == "reuse":
        # Without an artifact of its own, a step reuses what an earlier node of the same key made.
        artifact = step.artifact or next(
            other.artifact for other in made.values() if other.step.key == step.key
        )
        place.workspace.mark_used(artifact)
        made[node.id] = Made(step, artifact, ran=False)
        yield events.NodeReused(node.id, step.key)
        return
    with ExitStack() as held:
        making = yield from _begin(step, made, place, held)
        if making is not None:
            with _failures_explained(place.workspace.root):
                yield from making.run()
                yield from _publish(making, made)


def _runs_beside(taker: Step, maker: Step) -> bool:
    """Tell whether a step can take what another makes while it is made."""
    role = taker.node.takes
    return (
        role is not None
        and taker.node.inputs[role] == maker.node.id
        and taker.action == maker.action == "run"
    )


def _follow_both(
    maker: Step, taker: Step, made: dict[str, Made], place: _Place
) -> Iterator[events.Event]:
    """Make two nodes side by side: the second takes the frames of the first as they come."""
    assert taker.node.takes is not None  # _runs_beside
    handover = Handover(maker.key)
    with ExitStack() as held:
        making = yield from _begin(maker, made, place, held, gives=handover)
        if making is not None:
            held.enter_context(_failures_explained(place.workspace.root))
            beside = held.enter_context(Beside(maker.node.id, lambda _: making.run(), handover))
            yield from beside.until_it_begins()
            arriving = {taker.node.takes: handover}
            here = replace(place, meanwhile=beside.check)
            taking = yield from _begin(taker, made, here, held, arriving=arriving)
            for event in taking.run() if taking is not None else ():
                yield from beside.told()
                if handover.is_over and maker.node.id not in made:
                    # What it told last may have come after the look above.
                    yield from beside.told()
                    yield from _publish(making, made)
                yield event
            handover.leave()
            yield from beside.to_the_end()
            if maker.node.id not in made:
                yield from _publish(making, made)
            if taking is not None:
                yield from _publish(taking, made)
            return
    yield from _follow(taker, made, place)


def _begin(
    step: Step,
    made: dict[str, Made],
    place: _Place,
    held: ExitStack,
    *,
    gives: Handover | None = None,
    arriving: Mapping[str, Handover] | None = None,
) -> Generator[events.Event, None, Making | None]:
    """Take a step's lock until ``held`` ends.

    Returns:
        What makes it; None if another run has made it meanwhile.
    """
    node, workspace = step.node, place.workspace
    yield events.NodeStarted(node.id, node.stage.name, step.reason)
    if workspace.locks.is_held_elsewhere(step.key):
        yield events.NodeNotice(node.id, "another run is making this; waiting for it")
    building = workspace.building(
        node.stage.name, step.key, anew=step.forced, meanwhile=place.meanwhile
    )
    build = held.enter_context(building)
    for text in workspace.take_notices():
        yield events.NodeNotice(node.id, text)
    if build.existing is not None:
        made[node.id] = Made(step, build.existing, ran=False)
        yield events.NodeReused(node.id, step.key)
        return None
    inputs = {
        role: made[made_by].artifact for role, made_by in node.inputs.items() if made_by in made
    }
    job = Job(
        inputs, node.files, build.chunks, place.resources, gives=gives, arriving=arriving or {}
    )
    return Making(step, job, build, workspace.digests)


def _publish(making: Making, made: dict[str, Made]) -> Iterator[events.Event]:
    node, artifact = making.step.node, making.publish()
    made[node.id] = Made(making.step, artifact, ran=True)
    manifest = artifact.manifest
    yield events.NodeFinished(node.id, manifest.key, manifest.seconds, manifest.peak_bytes)


@contextmanager
def _failures_explained(place: Path) -> Iterator[None]:
    """Turn a full disk and a full memory, however a library tells of them, into our errors."""
    try:
        yield
    except (OSError, ThvideoError) as error:
        if is_disk_full(error):
            raise disk_full(place, error) from error
        if isinstance(error, OSError) and lies_in(error.filename, place):
            raise WorkspaceError(
                f"{error.filename} cannot be used ({error.strerror})",
                hint="run again, or pass --workspace DIR with another folder",
            ) from error
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise no_memory() from error
        raise


def _deliver(
    made: Mapping[str, Made], output: Path, workspace: Workspace
) -> Iterator[events.Event]:
    places = {"composite": output, "compare": comparison_path(output)}
    for node_id, place in places.items():
        if node_id in made:
            copied = deliver(made[node_id].artifact, place, workspace.digests)
            yield events.Delivered(place, copied)
