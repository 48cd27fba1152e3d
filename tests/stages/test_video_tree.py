"""Which videos there are, and whose face each of them shows."""

from pathlib import Path

import pytest
from PIL import Image

from thvideo.errors import InputError
from thvideo.imaging.picture import FORMATS
from thvideo.stages.video_tree import PICTURE_SUFFIXES, Identities, walk_videos


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_videos_come_sorted_and_nothing_else_comes(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.MP4", "b/1.mkv", "a.mov", "b/._1.mkv", ".trash/x.mp4", "b/list.txt")
    assert list(walk_videos(tmp_path)) == ["a.mov", "b/1.mkv", "b/2.MP4"]


def test_pictures_are_known_by_the_names_that_their_formats_have() -> None:
    kinds = {kind for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert kinds == set(FORMATS)
    # HEIC's names are known without the extra too, so that what cannot be read is told.
    named = {Image.registered_extensions().get(suffix, "HEIF") for suffix in PICTURE_SUFFIXES}
    assert named == {*FORMATS, "HEIF"}


def test_the_dataset_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "set/clips/3f/1.mp4", "z/1.mp4")
    assert list(walk_videos(tmp_path, tmp_path / "z" / ".." / "set")) == ["a/1.mp4", "z/1.mp4"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.mp4", "videos/anna/2.mp4")
    (tmp_path / "videos" / "bert").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "anna" / "up").symlink_to(tmp_path / "videos")
    (tmp_path / "videos" / "gone.mp4").symlink_to(tmp_path / "nothing")
    assert list(walk_videos(tmp_path / "videos")) == ["anna/2.mp4", "bert/1.mp4", "gone.mp4"]


def test_only_one_folder_at_a_time_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    walk = walk_videos(tmp_path)
    assert next(walk) == "a/1.mp4"
    touch(tmp_path, "b/0.mp4")
    assert list(walk) == ["b/0.mp4", "b/1.mp4"]


@pytest.mark.parametrize(
    ("video", "identity"),
    [
        ("id00012/21Uxsk56VDQ/00001.mp4", "id00012"),
        ("dev/mp4/id10270/21Uxsk56VDQ/00001.mp4", "id10270"),
        ("anna/1.mp4", "anna"),
        ("anna/holidays/1.mp4", "anna"),
        ("id123/1.mp4", "id123"),
        ("interview.2019.mp4", "interview.2019"),
    ],
)
def test_folders_tell_who_it_is(video: str, identity: str) -> None:
    assert Identities().of(video) == identity


def test_a_table_tells_who_it_is_by_video_or_by_folder(tmp_path: Path) -> None:
    table = tmp_path / "who.tsv"
    table.write_text("note\tvideo\tidentity\n\ttalks/\tAnna\n\ttalks/b.mp4\tBert\n\tx.mp4\t\n")
    identities = Identities(table)
    assert identities.of("talks/2019/a.mp4") == "Anna"
    assert identities.of("talks/b.mp4") == "Bert"
    assert identities.of("x.mp4") == ""
    assert identities.of("id00012/x/1.mp4") == ""


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Identities(tmp_path / "absent.csv")
    table = tmp_path / "who.csv"
    table.write_text("video\tidentity\na\tb\n")
    with pytest.raises(InputError, match="no column identity and no column video"):
        Identities(table)
    table.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(InputError, match="cannot be read as a table"):
        Identities(table)
