"""What is kept is whole, of the right key, and made once."""

from pathlib import Path

import numpy as np
import pytest

from thvideo.errors import WorkspaceError
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


def test_a_file_whose_bytes_have_changed_is_made_anew(tmp_path: Path) -> None:
    _made(tmp_path, "a", 1)
    path = tmp_path / "warp" / "p0" / "1.frames.npz"
    whole = path.read_bytes()
    data = whole.index(b"value.npy") + len("value.npy")
    listed = whole.index(b"PK\x01\x02") + 10
    # Of the stream itself, and of the way in which it says to be packed.
    for place in (range(data + 24, data + 60), range(listed, listed + 2)):
        changed = bytearray(whole)
        for index in place:
            changed[index] = 0xFF
        path.write_bytes(changed)
        assert _made(tmp_path, "a", 2) == (2, ["frames"])


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "warp").write_text("in the way")
    with pytest.raises(WorkspaceError, match=r"1\.frames\.npz cannot be written"):
        _made(tmp_path, "a", 1)
