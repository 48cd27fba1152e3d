"""``extract``, ``track``, ``embed`` and ``finetune``: one stage and what it needs."""

from pathlib import Path

from thvideo.cli import options
from thvideo.cli.console import one_line, say
from thvideo.cli.options import FILES, Given, Opt, takes
from thvideo.cli.running import execute
from thvideo.pipeline.events import RunFinished
from thvideo.pipeline.graph import StageName, stage_graph
from thvideo.reading import expanded
from thvideo.workspace.store import Workspace

_FILES = (
    Opt("files", FILES, "Pictures or videos.", kind=list[Path], is_argument=True),
)  # fmt: skip
_PREVIEW = Opt("preview", options.OUTPUT, "Also draw the landmarks: a video, or a .png.", kind=Path)
_RUNNING = (*options.WORKSPACE, *options.FORCE, *options.RESOURCES, *options.LOOKS)
_IDENTITY = (*options.SOURCES_ONLY, *options.PRESET, *options.IDENTITY, *options.TRACK)


@takes(*_FILES, *_RUNNING)
def extract(given: Given) -> None:
    """Read pictures or videos into the workspace: exact frame times, cuts and colours."""
    _each_file("extract", given)


@takes(*_FILES, *options.TRACK, *options.PRESET, _PREVIEW, *_RUNNING)
def track(given: Given) -> None:
    """Find the landmarks of one face in pictures or videos."""
    preview = given.values["preview"]
    if preview is None:
        _each_file("track", given)
        return
    from thvideo.cli.preview import check_preview, write_preview

    preview = expanded(preview)
    check_preview(given.values["files"], preview)
    (ended,) = _each_file("track", given)
    assert ended.artifact is not None  # track is never skipped
    write_preview(Workspace(given.recipe().workspace), ended.artifact.name, preview)
    if not given.flag("json") and not given.flag("quiet"):
        say(f"preview: {one_line(str(preview))}")


@takes(*_IDENTITY, *_RUNNING)
def embed(given: Given) -> None:
    """Choose the source frames that carry the identity."""
    recipe = given.settled(given.recipe())
    execute(stage_graph("embed", recipe), recipe, given)


@takes(*_IDENTITY, *_RUNNING)
def finetune(given: Given) -> None:
    """Fit the generator to the source; generators without weights need none of it."""
    recipe = given.settled(given.recipe())
    execute(stage_graph("finetune", recipe), recipe, given)


def _each_file(stage: StageName, given: Given) -> list[RunFinished]:
    files = given.values["files"]
    names_them = len(files) > 1 and not given.flag("json") and not given.flag("quiet")
    ended = []
    for path in files:
        if names_them:
            say(one_line(str(path)))
        recipe = given.recipe(sources=(path,), driver=None, output=None)
        if stage != "extract":
            recipe = given.settled(recipe)
        ended.append(execute(stage_graph(stage, recipe), recipe, given))
    return ended
