"""A file under its final name is whole."""

import pytest

from thvideo.workspace.chunks import Chunks


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
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert chunks.path("a.txt").read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), Chunks(tmp_path).writing("a.txt"):
        pass


def test_what_a_killed_run_was_writing_is_removed_on_opening(tmp_path):
    (tmp_path / ".tmp-123-b.txt").write_text("half")
    (tmp_path / "a.txt").write_text("whole")
    assert Chunks(tmp_path).names() == ("a.txt",)
    assert not (tmp_path / ".tmp-123-b.txt").exists()


def test_the_parts_go_and_what_was_made_of_them_stays(tmp_path):
    chunks = Chunks(tmp_path)
    for name in ("part-0.npz", "part-1.npz", "whole.npz"):
        with chunks.writing(name) as temporary:
            temporary.write_text(name)
    chunks.keep_only("whole.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.npz"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".tmp-a"])
def test_a_chunk_lies_in_its_folder_under_a_plain_name(tmp_path, name):
    with pytest.raises(ValueError, match="plain file name"):
        Chunks(tmp_path).path(name)
