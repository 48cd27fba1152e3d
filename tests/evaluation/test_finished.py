"""Videos of other tools: found by the clips' names, and read a batch at a time."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from thvideo.errors import InputError
from thvideo.evaluation.finished import Finished
from thvideo.evaluation.protocol import Take
from thvideo.training.dataset import ClipRow
from thvideo.workspace.keys import DigestMemo

SIDE_PX = 8


def take(clip: str, n_frames: int, wanted: tuple[int, ...]) -> Take:
    row = ClipRow(clip, "person", "val", "real", n_frames, SIDE_PX, "drawn")
    return Take(row, row, (0,), wanted)


def one_buffer(n_frames: int, height_width: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames of their own number each, in batches of three that share one memory."""
    buffer = np.empty((3, *height_width, 3), np.uint8)
    for start in range(0, n_frames, 3):
        part = buffer[: n_frames - start]
        part[:] = np.arange(start, start + len(part)).reshape(-1, 1, 1, 1)
        yield part


@pytest.mark.parametrize(
    ("n_frames", "side_px", "values"),
    [(200, SIDE_PX, [2, 3, 150, 151]), (4, SIDE_PX, [0, 1, 2, 3]), (200, 16, [2, 3, 150, 151])],
)
def test_the_frames_that_stand_for_the_wanted_ones_outlive_their_batch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_frames: int,
    side_px: int,
    values: list[int],
) -> None:
    monkeypatch.setattr("thvideo.evaluation.finished.probe", lambda path: None)
    monkeypatch.setattr(
        "thvideo.evaluation.finished.read_frames",
        lambda path, info: one_buffer(n_frames, (side_px, side_px)),
    )
    (tmp_path / "a.mp4").touch()
    scene = SimpleNamespace(
        take=take("a", 200, (2, 3, 150, 151)), size_px=SIDE_PX, wanted=np.zeros((4, 70, 2))
    )
    drawn = Finished("other", tmp_path, DigestMemo(tmp_path)).draw(scene, 0)
    assert drawn.frames.shape == (4, SIDE_PX, SIDE_PX, 3)
    assert drawn.frames[:, 0, 0, 0].tolist() == values


def test_a_folder_without_any_of_the_videos_is_told_with_the_names_it_should_hold(
    tmp_path: Path,
) -> None:
    method = Finished("other", tmp_path, DigestMemo(tmp_path))
    takes = [take("p2/0", 9, (1,)), take("p3/0", 9, (1,))]
    (tmp_path / "p2_0.mp4").touch()
    with pytest.raises(InputError, match="no video of the 2 that are judged") as error:
        method.check_names(takes)
    assert error.value.hint.endswith(str(Path("p2", "0.mp4")))
    (tmp_path / "p3").mkdir()
    (tmp_path / "p3" / "0.mp4").touch()
    method.check_names(takes)
