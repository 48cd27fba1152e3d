"""A file under its final name is whole."""

import os
from pathlib import Path

import pytest

from thvideo.workspace.chunks import JOURNAL, Chunks
from thvideo.workspace.health import DamagedError


def keep(chunks: Chunks, **texts: str) -> Chunks:
    for name, text in texts.items():
        with chunks.writing(f"{name}.txt") as temporary:
            temporary.write_text(text)
    return chunks


def names(folder: Path) -> list[str]:
    return sorted({path.name for path in folder.iterdir()} - {JOURNAL})


def test_a_chunk_is_done_only_when_its_block_succeeds(tmp_path):
    chunks = Chunks(tmp_path / "new")
    with chunks.writing("a-000.mkv") as temporary:
        temporary.write_text("frames")
        assert temporary.parent == chunks.folder
        assert temporary.name.startswith(".tmp-")
        assert temporary.suffix == ".mkv"
        assert not chunks.is_done("a-000.mkv")
    assert chunks.is_done("a-000.mkv")
    assert chunks.path("a-000.mkv").read_text() == "frames"
    assert chunks.names() == ("a-000.mkv",)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_block_leaves_nothing_and_keeps_the_old_chunk(tmp_path, error):
    chunks = Chunks(tmp_path)
    with chunks.writing("a.txt") as temporary:
        temporary.write_text("old")
    with pytest.raises(error), chunks.writing("a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ["a.txt"]
    assert chunks.path("a.txt").read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), Chunks(tmp_path).writing("a.txt"):
        pass


def test_what_a_killed_run_was_writing_is_removed_on_opening(tmp_path):
    keep(Chunks(tmp_path), a="whole")
    (tmp_path / ".tmp-123-b.txt").write_text("half")
    assert Chunks(tmp_path).names() == ("a.txt",)
    assert not (tmp_path / ".tmp-123-b.txt").exists()


def test_the_parts_go_and_what_was_made_of_them_stays(tmp_path):
    chunks = Chunks(tmp_path)
    for name in ("part-0.npz", "part-1.npz", "whole.npz"):
        with chunks.writing(name) as temporary:
            temporary.write_text(name)
    chunks.keep_only("whole.npz")
    assert names(tmp_path) == ["whole.npz"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def relink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def no_file(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [flip, Path.unlink, relink, no_file, Path.touch])
def test_what_was_damaged_while_nobody_looked_is_put_away_and_the_rest_kept(tmp_path, spoil):
    keep(Chunks(tmp_path), a="first", b="second", c="third")
    spoil(tmp_path / "b.txt")
    put_away: list[str] = []

    def put(path: Path, damage: str) -> None:
        put_away.append(path.name)
        path.unlink()

    again = Chunks(tmp_path, put)
    kept = ("a.txt", "b.txt", "c.txt") if spoil is Path.touch else ("a.txt", "c.txt")
    assert again.names() == kept
    assert not set(put_away) & set(kept)
    assert not (tmp_path / "elsewhere").exists()
    keep(again, b="second")
    assert Chunks(tmp_path).names() == ("a.txt", "b.txt", "c.txt")


def test_a_file_that_nobody_noted_is_not_used(tmp_path):
    keep(Chunks(tmp_path), a="first")
    (tmp_path / "b.txt").write_text("of unknown making")
    assert Chunks(tmp_path).names() == ("a.txt",)
    assert names(tmp_path) == ["a.txt"]


def test_a_damaged_journal_costs_what_it_told_of_and_no_more(tmp_path):
    keep(Chunks(tmp_path), a="first", b="second")
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-10] + b"\xff")
    assert Chunks(tmp_path).names() == ("a.txt",)
    journal.unlink()
    journal.symlink_to("/dev/zero")
    assert keep(Chunks(tmp_path), a="again").names() == ("a.txt",)
    assert Chunks(tmp_path).names() == ("a.txt",)


def test_what_changes_under_a_run_is_not_used_either(tmp_path):
    chunks = keep(Chunks(tmp_path), a="first", b="second")
    flip(tmp_path / "b.txt")
    assert chunks.path("a.txt").read_text() == "first"
    for ask in (lambda: chunks.path("b.txt"), lambda: Chunks(tmp_path).path("b.txt")):
        if chunks.is_done("b.txt"):
            with pytest.raises(DamagedError, match=r"b\.txt has other bytes"):
                ask()
    assert chunks.names() == ("a.txt",)


def test_unfinished_files_are_for_nobody_else_and_finished_ones_as_the_umask_says(tmp_path):
    chunks = Chunks(tmp_path)
    with chunks.writing("a.txt") as temporary:
        temporary.write_text("x")
        assert temporary.stat().st_mode & 0o777 == 0o600
    (tmp_path / "as usual").touch()
    assert chunks.path("a.txt").stat().st_mode == (tmp_path / "as usual").stat().st_mode


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".tmp-a", JOURNAL])
def test_a_chunk_lies_in_its_folder_under_a_plain_name(tmp_path, name):
    with pytest.raises(ValueError, match="plain file name"):
        Chunks(tmp_path).path(name)
