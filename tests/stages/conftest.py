"""Real runs on the shipped examples: a painting and a few seconds of a driver."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from thvideo.pipeline.events import Event
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.video.ffmpeg import ffmpeg_path
from thvideo.workspace.store import Workspace

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Runner = Callable[..., list[Event]]


@pytest.fixture(scope="session")
def painting() -> Path:
    return EXAMPLES / "painting.jpg"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(
        [str(ffmpeg_path()), "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)],
        check=True,
    )


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 frames of the example driver at 24000/1001, with its sound."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    ffmpeg(
        *("-i", EXAMPLES / "driver.mp4", "-frames:v", "48", "-r", "24000/1001", "-shortest"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-c:a", "aac", path),
    )
    return path


@pytest.fixture(scope="session")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which tests may find what others made; keys keep them apart."""
    return tmp_path_factory.mktemp("workspace") / "ws"


@pytest.fixture
def reenact(shared_workspace: Path, painting: Path, driver: Path) -> Runner:
    """Run a reenactment and return its events."""

    def reenact(
        output: Path,
        *,
        sources: Sequence[Path] = (),
        workspace: Path | None = None,
        resources: Resources | None = None,
        **options: object,
    ) -> list[Event]:
        # Nine hundred pixels, as the output shows the example, take twice as long.
        given = {"sources": tuple(sources) or (painting,), "driver": driver, "output": output}
        given["size"] = 512
        recipe = make_recipe({**given, **options})
        return list(
            run(
                reenact_graph(recipe),
                Workspace(workspace or shared_workspace),
                resources or Resources(),
                recipe.force,
            )
        )

    return reenact
