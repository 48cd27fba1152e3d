"""Clips on disk: the table is read row by row, frames and labels as they are needed."""

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import cv2
import numpy as np
import pytest

from thvideo.errors import InputError
from thvideo.training.dataset import (
    COLUMNS,
    ClipRow,
    ClipTable,
    Labels,
    inset_slices,
    loss_mask,
    read_frames,
    read_labels,
)

N_FRAMES, SIZE_PX = 12, 64


def _write_table(root: Path, *lines: str, header: str = "\t".join(COLUMNS)) -> Path:
    root.mkdir(exist_ok=True)
    (root / "clips.tsv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return root


def _row(clip: str = "aa/one", kind: str = "real", n_frames: int = N_FRAMES) -> ClipRow:
    return ClipRow(clip, "anna", "train", kind, n_frames, 300, "")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """One clip whose frame number i is the grey 20 i."""
    folder = tmp_path / "clips" / "aa"
    folder.mkdir(parents=True)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(folder / "one.mp4"), codec, 25, (SIZE_PX, SIZE_PX))
    for index in range(N_FRAMES):
        writer.write(np.full((SIZE_PX, SIZE_PX, 3), 20 * index, np.uint8))
    writer.release()
    points = np.arange(N_FRAMES * 140).reshape(N_FRAMES, 70, 2) % 1000
    np.savez(folder / "one.npz", points=points.astype(np.int16), valid=np.int16([2, 0, 64, 60]))
    return tmp_path


def test_rows_are_read_whatever_the_order_of_columns(tmp_path: Path) -> None:
    header = "licence\tsplit\tclip\tidentity\tframes\tkind\tsource\tcrop_px"
    lines = ("MIT\ttrain\taa/x\tänne\t5\treal\ts\t312", "MIT\tval\tab/y.1\tbob\t7\tsynthetic\t\t99")
    table = ClipTable(_write_table(tmp_path / "set", *lines, header=header))
    assert len(table) == 2
    assert table[0] == ClipRow("aa/x", "änne", "train", "real", 5, 312, "s")
    assert table[1] == ClipRow("ab/y.1", "bob", "val", "synthetic", 7, 99, "")


def test_splits_give_indices_in_the_tables_order(tmp_path: Path) -> None:
    splits = ["train", "val", "train", "train", "val"]
    lines = [f"c{i}\tp\t{split}\treal\t5\t300\t" for i, split in enumerate(splits)]
    table = ClipTable(_write_table(tmp_path / "set", *lines))
    assert table.indices("train").tolist() == [0, 2, 3]
    assert table.indices("val").tolist() == [1, 4]
    assert ClipTable(_write_table(tmp_path / "set")).indices("val").tolist() == []


def test_a_table_keeps_nine_bytes_a_row_and_travels_to_other_processes(tmp_path: Path) -> None:
    lines = [f"c{i}\tp\ttrain\treal\t{i + 1}\t300\tsource" for i in range(20_000)]
    table = ClipTable(_write_table(tmp_path / "set", *lines))
    assert len(ForkingPickler.dumps(table)) < 9 * 20_000 + 2_000
    assert table[19_999].n_frames == 20_000


def test_missing_and_garbled_tables_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clips\.tsv cannot be read"):
        ClipTable(tmp_path)
    with pytest.raises(InputError, match="no column kind, source"):
        ClipTable(_write_table(tmp_path, header="clip\tidentity\tsplit\tframes\tcrop_px"))
    with pytest.raises(InputError, match=r"line 3 .* has 2 cells, not 7"):
        ClipTable(_write_table(tmp_path, "c\tp\ttrain\treal\t5\t300\t", "d\tp"))
    table = ClipTable(_write_table(tmp_path, "c\tp\ttrain\treal\tmany\t300\t"))
    with pytest.raises(InputError, match=r"row 1 .* no whole number"):
        table[0]
    (tmp_path / "clips.tsv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="not UTF-8"):
        ClipTable(tmp_path)


def test_frames_come_in_the_order_asked_for(dataset: Path) -> None:
    frames = read_frames(dataset, _row(), [7, 2, 7])
    assert frames.shape == (3, SIZE_PX, SIZE_PX, 3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), [140, 40, 140], atol=3)
    assert len(read_frames(dataset, _row())) == N_FRAMES
    with pytest.raises(IndexError):
        read_frames(dataset, _row(), [N_FRAMES])


def test_points_are_pixels(dataset: Path) -> None:
    labels = read_labels(dataset, _row())
    assert labels.points.dtype == np.float32
    np.testing.assert_allclose(labels.points[0, 8], [1.0, 17 / 16])
    assert labels.valid.tolist() == [2, 0, 64, 60]


def test_damaged_clips_are_named(dataset: Path) -> None:
    with pytest.raises(InputError, match="ends at frame 12 of 13"):
        read_frames(dataset, _row(n_frames=N_FRAMES + 1))
    with pytest.raises(InputError, match="for 13 frames"):
        read_labels(dataset, _row(n_frames=N_FRAMES + 1))
    npz = dataset / "clips" / "aa" / "one.npz"
    with np.load(npz) as data:
        points, valid = data["points"].astype(np.float32), data["valid"]
    points[3, 8] = np.nan
    np.savez(npz, points=points, valid=valid)
    with pytest.raises(InputError, match=r"one\.npz holds numbers that are none"):
        read_labels(dataset, _row())
    for suffix, read in ((".mp4", read_frames), (".npz", read_labels)):
        path = dataset / "clips" / "aa" / f"one{suffix}"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match=f"one{suffix} is missing or"):
            read(dataset, _row())
    with pytest.raises(InputError, match="no name of a clip"):
        read_labels(dataset, _row("../../secret"))
    with pytest.raises(InputError, match="no name of a clip"):
        read_labels(dataset, _row("a\0b"))


@pytest.mark.parametrize("kind", ["changed", "one array", "text"])
def test_labels_of_another_kind_are_damaged_ones(dataset: Path, kind: str) -> None:
    npz = dataset / "clips" / "aa" / "one.npz"
    with np.load(npz) as data:
        points, valid = data["points"], data["valid"]
    if kind == "one array":
        with npz.open("wb") as file:
            np.save(file, points)
    else:
        np.savez_compressed(
            npz, points=points.astype(str) if kind == "text" else points, valid=valid
        )
    if kind == "changed":
        content = bytearray(npz.read_bytes())
        content[200:240] = b"\xff" * 40
        npz.write_bytes(content)
    with pytest.raises(InputError, match=r"one\.npz"):
        read_labels(dataset, _row())


def test_a_clip_that_is_not_square_is_refused(dataset: Path) -> None:
    path = dataset / "clips" / "aa" / "one.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (SIZE_PX, 48))
    writer.write(np.zeros((48, SIZE_PX, 3), np.uint8))
    writer.release()
    with pytest.raises(InputError, match="64 x 48 pixels, not square"):
        read_frames(dataset, _row(), [0])


@pytest.mark.parametrize("cell", ["-1", "9" * 13, "9" * 30, "nan"])
def test_a_number_of_frames_that_no_clip_has_is_refused(tmp_path: Path, cell: str) -> None:
    table = ClipTable(_write_table(tmp_path / "set", f"x\tp\tval\treal\t{cell}\t9\t"))
    for read in (lambda: table[0], table.people_and_lengths):
        with pytest.raises(InputError, match="no whole number of frames"):
            read()


def test_a_spreadsheets_table_is_read(tmp_path: Path) -> None:
    root = _write_table(tmp_path / "set", "x\tp\tval\treal\t5\t9\t")
    (root / "clips.tsv").write_bytes(b"\xef\xbb\xbf" + (root / "clips.tsv").read_bytes())
    assert ClipTable(root)[0].clip == "x"


def test_losses_see_only_the_face_s_own_picture() -> None:
    labels = Labels(np.zeros((1, 70, 2), np.float32), np.array([10, 0, 90, 100]))
    mask = loss_mask(_row(), labels, 100)
    assert mask.sum() == 80 * 100
    assert not mask[:, :10].any()
    mask = loss_mask(_row(kind="synthetic"), labels, 100)
    assert not mask[inset_slices(100)].any()
    assert not mask[99, 10]
    assert mask[99, 89]
    assert mask[0, 10]


def test_the_real_clips_are_read(shared_data: Path) -> None:
    table = ClipTable(shared_data)
    train, val = table.indices("train"), table.indices("val")
    assert len(train) + len(val) == len(table)
    row = table[int(val[0])]
    labels = read_labels(shared_data, row)
    frames = read_frames(shared_data, row, [0, row.n_frames - 1])
    assert frames.shape == (2, 256, 256, 3)
    assert np.ptp(labels.points, axis=1).max() < 256
