"""A short form of ``make torture``: disturbed runs come to the same end."""

from pathlib import Path
from random import Random

import pytest

from recipes.torture.scene import Scene
from recipes.torture.trials import TRIALS, SkippedError, small_disk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """What was made once, undisturbed."""
    scene = Scene(tmp_path_factory.mktemp("torture") / "scene", ("--generator", "warp"))
    scene.make_reference()
    return scene


@pytest.mark.parametrize("name", ["damaged", "killed", "damaged unfinished", "full disk"])
def test_a_disturbed_run_comes_to_the_same_end(scene: Scene, name: str) -> None:
    try:
        TRIALS[name](scene, Random(name))  # noqa: S311  trials, no secrets
    except SkippedError as reason:
        pytest.skip(str(reason))


def test_a_small_disk_is_small(tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path, 2) as grow:
            with pytest.raises(OSError, match="No space left"):
                (tmp_path / "a").write_bytes(bytes(16 << 10))
            grow()
            (tmp_path / "a").write_bytes(bytes(16 << 10))
    except SkippedError as reason:
        pytest.skip(str(reason))
