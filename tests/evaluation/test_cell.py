"""What is kept is whole, of the right key, and made once."""

from pathlib import Path

import numpy as np

from thvideo.evaluation.cell import Cell


def _made(folder: Path, key: str, value: int) -> tuple[int, list[str]]:
    cell = Cell(folder, "warp", "p0/1")
    found = cell.arrays("frames", key, lambda: {"value": np.array(value)})
    return int(found["value"]), cell.made


def test_arrays_are_made_once_for_a_key(tmp_path: Path) -> None:
    assert _made(tmp_path, "a", 1) == (1, ["frames"])
    assert _made(tmp_path, "a", 2) == (1, [])
    assert _made(tmp_path, "b", 3) == (3, ["frames"])
    assert [path.name for path in tmp_path.rglob("*.*")] == ["1.frames.npz"]


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    _made(tmp_path, "a", 1)
    path = tmp_path / "warp" / "p0" / "1.frames.npz"
    path.write_bytes(path.read_bytes()[:40])
    assert _made(tmp_path, "a", 2) == (2, ["frames"])
    assert _made(tmp_path, "a", 3) == (2, [])
