"""What the commands share: check, plan, run and draw one graph."""

from collections.abc import Generator
from contextlib import closing
from typing import cast

from thvideo.cli.options import Given
from thvideo.cli.render import view_of
from thvideo.errors import StageError, ThvideoError
from thvideo.pipeline.check import check_recipe
from thvideo.pipeline.events import Event, RunFinished
from thvideo.pipeline.graph import Graph
from thvideo.pipeline.plan import Step, plan
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.workspace.store import Workspace


def planned(graph: Graph, recipe: Recipe) -> list[Step]:
    """Return what a run would do.

    Raises:
        ThvideoError: A file cannot be used, or an option is wrong.
    """
    check_recipe(recipe)
    return plan(graph, Workspace(recipe.workspace), recipe.force)


def execute(graph: Graph, recipe: Recipe, given: Given) -> RunFinished:
    """Run a graph, draw what happens, and return how it ended.

    Raises:
        ThvideoError: It could not be run to its end.
    """
    resources = given.resources()
    check_recipe(recipe)
    workspace = Workspace(recipe.workspace)
    with view_of(given) as view:
        try:
            events = run(graph, workspace, resources, recipe.force)
            # Closed at once on an error, so that child processes end before the explanation.
            with closing(cast("Generator[Event, None, None]", events)) as happenings:
                for event in happenings:
                    view.show(event)
                    if isinstance(event, RunFinished):
                        return event
        except BrokenPipeError as error:
            raise StageError(
                "a helper program ended before its work was done",
                hint="thvideo doctor checks ffmpeg; the same command goes on from here",
            ) from error
        except ThvideoError as error:
            view.failed(error)
            raise
    raise AssertionError("a run ends with RunFinished")
