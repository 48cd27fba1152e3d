"""Files are written whole, for their owner alone until then, and never through a planted link."""

import os
import stat
from pathlib import Path

import pytest

from thvideo.workspace import durable
from thvideo.workspace.durable import open_regular, part_path, replacing, write_whole


def test_a_link_that_lies_at_the_very_name_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    monkeypatch.setattr(durable.secrets, "token_hex", lambda _: "guessed")
    part_path(tmp_path).symlink_to(mine)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "o.txt", "theirs")
    assert mine.read_text() == "mine"
    assert not (tmp_path / "o.txt").exists()


def test_a_link_at_the_place_itself_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "o.json").symlink_to(mine)
    write_whole(tmp_path / "o.json", "{}")
    assert (mine.read_text(), (tmp_path / "o.json").read_text()) == ("mine", "{}")
    assert not (tmp_path / "o.json").is_symlink()


def test_a_file_is_for_its_owner_alone_until_it_is_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "o.txt") as file:
        file.write(b"half")
        (part,) = tmp_path.iterdir()
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        assert "o.txt" not in part.name
    (tmp_path / "as usual").touch()
    assert (tmp_path / "o.txt").stat().st_mode == (tmp_path / "as usual").stat().st_mode


def test_only_regular_files_are_opened_and_nothing_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"regular|symbolic"):
            open_regular(path)
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"x"
