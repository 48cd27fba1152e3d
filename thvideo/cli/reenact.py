"""``reenact``, ``plan`` and ``composite``: the same options, three ways to use them."""

from thvideo.cli import options
from thvideo.cli.options import Given, takes
from thvideo.cli.plan_table import show_plan
from thvideo.cli.running import execute, planned
from thvideo.errors import UsageError
from thvideo.pipeline.graph import Graph, reenact_graph
from thvideo.pipeline.recipe import Recipe


@takes(*options.REENACT)
def reenact(given: Given) -> None:
    """Move the face in the source as the driver moves, and write the video.

    What is made on the way stays in the workspace: the next run reuses what fits.

    After a stop, the same command goes on where it was.
    """
    recipe, graph = _asked(given)
    execute(graph, recipe, given)


@takes(*options.REENACT)
def plan(given: Given) -> None:
    """Show what reenact would run, what it would reuse, and why."""
    recipe, graph = _asked(given)
    given.resources()
    show_plan(planned(graph, recipe), given)


@takes(*options.REENACT)
def composite(given: Given) -> None:
    """Write the video again from crops that are made already, with other output options."""
    recipe, graph = _asked(given)
    last = ("composite", "compare")
    missing = [
        step
        for step in planned(graph, recipe)
        if step.action == "run" and step.node.stage.name not in last
    ]
    if missing:
        first = missing[0]
        raise UsageError(
            f"composite needs finished crops, but {first.node.id} has to run ({first.reason})",
            hint="thvideo reenact with the same options makes all of it",
        )
    execute(graph, recipe, given)


def _asked(given: Given) -> tuple[Recipe, Graph]:
    """Return the recipe and its graph.

    Raises:
        UsageError: A file that every run needs is not named, or an option is wrong.
    """
    recipe = given.recipe()
    needed = {"--source": recipe.sources, "--driver": recipe.driver, "--output": recipe.output}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} must be given",
            hint="thvideo reenact --source face.jpg --driver driver.mp4 --output out.mp4",
        )
    recipe = given.settled(recipe)
    return recipe, reenact_graph(recipe)
