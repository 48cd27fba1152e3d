"""``extract``, ``track``, ``embed`` and ``finetune``: one stage and what it needs."""

from pathlib import Path

from thvideo.cli import options
from thvideo.cli.console import one_line, say
from thvideo.cli.options import FILES, Given, Opt, takes
from thvideo.cli.running import execute
from thvideo.pipeline.graph import StageName, stage_graph

_FILES = (
    Opt("files", FILES, "Pictures or videos.", kind=list[Path], is_argument=True),
)  # fmt: skip
_RUNNING = (*options.WORKSPACE, *options.FORCE, *options.RESOURCES, *options.LOOKS)
_IDENTITY = (*options.SOURCES_ONLY, *options.PRESET, *options.IDENTITY, *options.TRACK)


@takes(*_FILES, *_RUNNING)
def extract(given: Given) -> None:
    """Read pictures or videos into the workspace: exact frame times, cuts and colours."""
    _each_file("extract", given)


@takes(*_FILES, *options.TRACK, *options.PRESET, *_RUNNING)
def track(given: Given) -> None:
    """Find the landmarks of one face in pictures or videos."""
    _each_file("track", given)


@takes(*_IDENTITY, *_RUNNING)
def embed(given: Given) -> None:
    """Choose the source frames that carry the identity."""
    recipe = given.recipe()
    execute(stage_graph("embed", recipe), recipe, given)


@takes(*_IDENTITY, *_RUNNING)
def finetune(given: Given) -> None:
    """Fit the generator to the source; generators without weights need none of it."""
    recipe = given.recipe()
    execute(stage_graph("finetune", recipe), recipe, given)


def _each_file(stage: StageName, given: Given) -> None:
    files = given.values["files"]
    names_them = len(files) > 1 and not given.flag("json") and not given.flag("quiet")
    for path in files:
        if names_them:
            say(one_line(str(path)))
        recipe = given.recipe(sources=(path,), driver=None, output=None)
        execute(stage_graph(stage, recipe), recipe, given)
