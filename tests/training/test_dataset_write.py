"""Records of videos, and the tables and the sheet that are made of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from thvideo.errors import InputError
from thvideo.training.dataset import ClipRow, ClipTable, Labels, read_labels
from thvideo.training.dataset_report import write_sheet
from thvideo.training.dataset_write import (
    ClipEntry,
    Record,
    Reject,
    clip_name,
    read_record,
    record_path,
    video_key,
    write_labels,
    write_record,
    write_tables,
)


def record(video: str, identity: str = "anna", n_clips: int = 2) -> Record:
    key = video_key(video)
    clips = [ClipEntry(clip_name(key, i), 20 + i, 300.4, 132.2, 1.5 * i) for i in range(n_clips)]
    return Record(video, 1000, identity, 25.0, tuple(clips), (Reject("cut", "3 frames", 9, 9.5),))


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    # A name that is no UTF-8, as disks may have.
    odd = record("anna/\udcff 1.mp4")
    write_record(tmp_path, odd)
    path = record_path(tmp_path, video_key(odd.video))
    assert read_record(path) == odd
    path.write_text(path.read_text()[:50])
    assert read_record(path) is None
    with pytest.raises(InputError, match="is damaged"):
        write_tables(tmp_path, 0.1, 0)


def test_the_order_of_work_does_not_change_the_tables(tmp_path: Path) -> None:
    made = [record(f"{name}/1.mp4", name) for name in "abcdefgh"]
    tables = []
    for order, folder in ((made, "one"), (made[::-1], "two")):
        for one in order:
            write_record(tmp_path / folder, one)
        write_tables(tmp_path / folder, 0.3, 0)
        tables.append((tmp_path / folder / "clips.tsv").read_bytes())
    assert tables[0] == tables[1]
    table = ClipTable(tmp_path / "one")
    assert len(table) == 16
    names = [table[index].clip for index in range(16)]
    assert names == sorted(names)


def test_tables_and_counts_tell_the_same(tmp_path: Path) -> None:
    write_record(tmp_path, record("anna/1\t.mp4", "an\tna"))
    write_record(tmp_path, record("bert/1.mp4", "bert", 0))
    write_record(tmp_path, replace(record("x/1.mp4"), identity=""))
    counts = write_tables(tmp_path, 0.0, 0).to_json()
    table = ClipTable(tmp_path)
    assert [table[index].identity for index in range(len(table))] == ["an na"] * 2
    assert table[0].crop_px == 300
    assert table[0].source == "anna/1 .mp4"
    assert counts["splits"]["train"] == {"people": 1, "clips": 2, "frames": 41, "seconds": 1.64}
    assert counts["rejects"] == {"cut": 2, "no identity": 1}
    lines = (tmp_path / "rejects.tsv").read_text().splitlines()
    assert sorted(line.split("\t")[3] for line in lines[1:]) == ["cut", "cut", "no identity"]


def people_for_val(root: Path, people: Sequence[str], share: float, seed: int = 0) -> set[str]:
    for name in people:
        write_record(root, record(f"{name}/1.mp4", name, 1))
    write_tables(root, share, seed)
    table = ClipTable(root)
    return {table[int(index)].identity for index in table.indices("val")}


def test_people_stay_in_their_split(tmp_path: Path) -> None:
    people = [f"id{number:05d}" for number in range(200)]
    val = people_for_val(tmp_path, people, 0.1)
    assert 10 < len(val) < 30
    # A larger share adds people and moves none, as others that come do; another seed draws others.
    assert val < people_for_val(tmp_path, [], 0.2)
    assert val < people_for_val(tmp_path, [f"{name}b" for name in people], 0.1)
    assert len(val & people_for_val(tmp_path, [], 0.1, 1)) < len(val) / 2


def test_of_two_people_one_is_for_validation(tmp_path: Path) -> None:
    for seed in range(20):
        for share in (0.01, 0.99):
            assert len(people_for_val(tmp_path / "two", ["anna", "bert"], share, seed)) == 1
    # The one who would be the first with a larger share.
    (first,) = people_for_val(tmp_path / "two", [], 0.01)
    larger = (people_for_val(tmp_path / "two", [], 0.05 * n) for n in range(1, 20))
    assert all(first in val for val in larger)
    # Nobody is moved where all was asked for, or where there is nobody else.
    assert people_for_val(tmp_path / "two", [], 0.0) == set()
    assert people_for_val(tmp_path / "two", [], 1.0) == {"anna", "bert"}
    assert people_for_val(tmp_path / "one", ["anna"], 0.01) == set()


def test_pictures_are_for_training_whoever_they_show(tmp_path: Path) -> None:
    painted = [f"{number}.png" for number in range(40)]
    for name in painted:
        (one,) = record(name, name, 1).clips
        write_record(tmp_path, replace(record(name, name), clips=(replace(one, n_frames=1),)))
    # A picture of someone who is for validation stays with that person.
    (of_bert,) = record("bert/a.png", "bert", 1).clips
    write_record(
        tmp_path, replace(record("bert/a.png", "bert"), clips=(replace(of_bert, n_frames=1),))
    )
    for seed in range(10):
        val = people_for_val(tmp_path, ["anna", "bert"], 0.5, seed)
        assert val in ({"anna"}, {"bert"})
        counts = write_tables(tmp_path, 0.5, seed)
        assert counts.people["train"] == {*painted, "anna", "bert"} - val
        assert counts.n_clips["val"] == (2 if val == {"bert"} else 1)


def test_names_keep_folders_small() -> None:
    names = [clip_name(video_key(f"id/{number}.mp4"), 0) for number in range(2000)]
    folders, files = zip(*(name.split("/") for name in names), strict=True)
    assert 250 < len(set(folders)) <= 256
    assert len(set(files)) == 2000


def test_labels_come_back_to_a_thirty_second_of_a_pixel(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-20, 280, (5, 70, 2)).astype(np.float32)
    (tmp_path / "clips").mkdir()
    write_labels(tmp_path / "clips" / "a.npz", points, (0, 3, 256, 250))
    labels = read_labels(tmp_path, ClipRow("a", "p", "train", "real", 5, 300, ""))
    assert isinstance(labels, Labels)
    assert np.abs(labels.points - points).max() <= 1 / 32
    assert labels.valid.tolist() == [0, 3, 256, 250]


def test_the_sheet_shows_the_real_clips(shared_data: Path, tmp_path: Path) -> None:
    for name in ("clips.tsv", "clips"):
        (tmp_path / name).symlink_to(shared_data / name)
    write_sheet(tmp_path)
    sheet = cv2.imread(str(tmp_path / "contact_sheet.jpg"))
    assert sheet.shape == (6 * 186, 10 * 168, 3)
    # Sixty different pictures, landmarks on each of them.
    cells = [
        sheet[r * 186 : r * 186 + 168, c * 168 : c * 168 + 168] for r in range(6) for c in range(10)
    ]
    greenish = [(cell[..., 1].astype(int) - cell[..., 2] > 80).sum() for cell in cells]
    assert min(greenish) > 70


def test_the_sheet_of_a_damaged_or_empty_dataset_is_drawn_too(tmp_path: Path) -> None:
    write_tables(tmp_path, 0.1, 0)
    write_sheet(tmp_path)
    write_record(tmp_path, record("anna/1.mp4"))
    write_tables(tmp_path, 0.1, 0)
    write_sheet(tmp_path)
    assert cv2.imread(str(tmp_path / "contact_sheet.jpg")).shape == (186, 2 * 168, 3)
