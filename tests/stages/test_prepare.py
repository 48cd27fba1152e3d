"""Prepare: what becomes a clip and what is rejected, whatever happens on the way."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cli_process import environment
from tests.landmarks.made_faces import SquareTracker
from tests.stages.made_people import (
    PID_FOLDER,
    DeadlyTracker,
    NotingTracker,
    damage,
    shot,
    write_shots,
)
from thvideo.errors import InputError, UsageError, WorkspaceError
from thvideo.imaging.picture import save_png
from thvideo.stages.base import Notice, Progress, StageEvent
from thvideo.stages.prepare import PrepareJob, prepare
from thvideo.stages.prepare_options import PrepareOptions, TableOptions, Workers
from thvideo.training.dataset import ClipRow, ClipTable, read_frames, read_labels

OPTIONS = PrepareOptions(size_px=64, min_face_px=40, max_frames=32)


def job(videos: Path, dataset: Path, **changed: object) -> PrepareJob:
    given: dict[str, object] = {
        "options": OPTIONS,
        "table": TableOptions(val_share=0.5),
        "workers": Workers(2),
        "make_tracker": SquareTracker,
    }
    return PrepareJob(videos, dataset, **(given | changed))  # type: ignore[arg-type]


def made(videos: Path, dataset: Path, **changed: object) -> list[StageEvent]:
    return list(prepare(job(videos, dataset, **changed)))


def rows(dataset: Path) -> list[ClipRow]:
    table = ClipTable(dataset)
    return [table[index] for index in range(len(table))]


def rejects(dataset: Path) -> dict[str, str]:
    lines = (dataset / "rejects.tsv").read_text().splitlines()[1:]
    return {line.split("\t")[0]: line.split("\t")[3] for line in lines}


def contents(dataset: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(dataset)): path.read_bytes()
        for path in sorted(dataset.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as VoxCeleb has it, with one video of each fate."""
    root = tmp_path_factory.mktemp("videos")
    person, other = root / "mp4" / "id00011", root / "mp4" / "id00012"
    write_shots(person / "aaa" / "00001.mp4", shot(24))
    write_shots(person / "aaa" / "two.mp4", shot(20), shot(40, 50, 160))
    write_shots(other / "bbb" / "small.mp4", shot(20, 24))
    write_shots(other / "bbb" / "empty.mp4", shot(20, 0))
    write_shots(other / "bbb" / "short.mp4", shot(8))
    damage(write_shots(other / "bbb" / "damaged.mp4", shot(24)))
    (other / "bbb" / "text.mkv").write_text("no video\n" * 9)
    (other / "bbb" / "notes.txt").write_text("not looked at")
    return root


@pytest.fixture(scope="module")
def dataset(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "set"
    made(videos, folder)
    return folder


def test_every_shot_of_a_face_becomes_clips(dataset: Path) -> None:
    clips = rows(dataset)
    assert Counter(row.source for row in clips) == {
        "mp4/id00011/aaa/00001.mp4": 1,
        "mp4/id00011/aaa/two.mp4": 3,
    }
    # 40 frames are more than one clip may have: two of 20.
    assert sorted(row.n_frames for row in clips) == [20, 20, 20, 24]
    assert {row.identity for row in clips} == {"id00011"}
    assert all(row.clip.startswith(row.clip[3:5] + "/") for row in clips)


def test_what_is_no_clip_is_listed_with_its_reason(videos: Path, dataset: Path) -> None:
    reasons = {Path(video).name: reason for video, reason in rejects(dataset).items()}
    assert reasons == {
        "small.mp4": "face too small",
        "empty.mp4": "no face",
        "short.mp4": "cut",
        "damaged.mp4": "unreadable",
        "text.mkv": "unreadable",
    }
    assert str(videos) not in (dataset / "rejects.tsv").read_text()
    report = json.loads((dataset / "report.json").read_text())
    assert report["rejects"] == dict(Counter(reasons.values()))
    assert (report["videos"], report["videos_used"]) == (7, 2)
    assert sum(part["clips"] for part in report["splits"].values()) == 4


def test_labels_lie_on_the_face_and_valid_is_what_the_video_showed(dataset: Path) -> None:
    for row in rows(dataset):
        frames = read_frames(dataset, row)
        labels = read_labels(dataset, row)
        assert frames.shape == (row.n_frames, 64, 64, 3)
        face = frames[..., 0].astype(int) > 170
        for index in range(row.n_frames):
            ys, xs = np.nonzero(face[index])
            low, high = labels.points[index, :68].min(axis=0), labels.points[index, :68].max(axis=0)
            np.testing.assert_allclose(low, [xs.min(), ys.min()], atol=1.5)
            np.testing.assert_allclose(high, [xs.max(), ys.max()], atol=1.5)
        x0, y0, x1, _ = labels.valid
        # The crop reaches above the picture: there its edge is repeated.
        top = 59.5 - 0.2 * 64 / 2.27 * row.crop_px / 64 - row.crop_px / 2
        assert y0 == pytest.approx(-top * 64 / row.crop_px, abs=1.5)
        assert np.ptp(frames[:, : y0 - 1].astype(int), axis=1).max() < 12
        assert (x0, x1) == (0, 64)


def test_the_crop_is_that_of_the_training_clips(dataset: Path) -> None:
    row = next(row for row in rows(dataset) if row.n_frames == 24)
    points = read_labels(dataset, row).points[:, :68]
    face = (points.max(axis=1) - points.min(axis=1)).max(axis=1)
    assert 64 / np.median(face) == pytest.approx(2.27, abs=0.03)
    middle = (points.max(axis=(0, 1)) + points.min(axis=(0, 1))) / 2
    assert (middle[1] - 31.5) / np.median(face) == pytest.approx(0.2, abs=0.02)


def test_a_second_run_does_nothing(videos: Path, dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*") if path.is_file()}
    assert made(videos, dataset, make_tracker=DeadlyTracker)[-1] == Progress(7, 7, "videos")
    after = {path: path.stat().st_mtime_ns for path in dataset.rglob("*") if path.is_file()}
    assert {p: t for p, t in after.items() if p.name != ".lock"} == {
        p: t for p, t in before.items() if p.name != ".lock"
    }


def test_one_worker_elsewhere_makes_the_same_bytes(
    videos: Path, dataset: Path, tmp_path: Path
) -> None:
    made(videos, tmp_path / "set", workers=Workers(1))
    assert contents(tmp_path / "set") == contents(dataset)


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    videos: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    monkeypatch.setenv(PID_FOLDER, str(pids))
    again = tmp_path / "set"
    events = prepare(job(videos, again, make_tracker=NotingTracker))
    with closing(events):  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Progress) and event.done >= 2:
                break
    assert list(pids.iterdir())
    assert not any(alive(int(path.name)) for path in pids.iterdir())
    kept = {path: path.stat().st_mtime_ns for path in (again / "records").rglob("*.json")}
    assert 2 <= len(kept) < 7
    assert not (again / "clips.tsv").exists()
    made(videos, again)
    assert contents(again) == contents(dataset)
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in kept}.items()


KILLED = """
import sys
from pathlib import Path
from tests.stages.test_prepare import NotingTracker, made
if __name__ == "__main__":
    made(Path(sys.argv[1]), Path(sys.argv[2]), make_tracker=NotingTracker)
"""


def test_a_killed_run_leaves_no_process_and_the_next_one_goes_on(
    videos: Path, dataset: Path, tmp_path: Path
) -> None:
    pids, again = tmp_path / "pids", tmp_path / "set"
    pids.mkdir()
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, script, videos, again], env=environment(**{PID_FOLDER: str(pids)})
    )
    try:
        wait_until(lambda: any((again / "records").rglob("*.json")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not any(alive(int(path.name)) for path in pids.iterdir()))
    assert not (again / "clips.tsv").exists()
    made(videos, again)
    assert contents(again) == contents(dataset)


def test_what_a_kill_left_of_a_record_counts_for_nothing(
    videos: Path, dataset: Path, tmp_path: Path
) -> None:
    again = tmp_path / "set"
    shutil.copytree(dataset, again)
    record = next((again / "records").rglob("*.json"))
    (again / "tmp").mkdir()
    shutil.copy(record, again / "tmp" / record.name)
    shutil.copy(record, record.with_name(f".tmp-{record.name}"))
    (again / "report.json").unlink()
    made(videos, again)
    record.with_name(f".tmp-{record.name}").unlink()
    assert contents(again) == contents(dataset)


def alive(pid: int) -> bool:
    try:
        # A killed process that nobody has waited for yet is a zombie.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(is_so: object, limit_s: float = 90) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_worker_that_dies_takes_one_video_along_and_that_is_tried_again(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write_shots(tmp_path / "videos" / name / "1.mp4", shot(16, 80 if name == "b" else 50))
    events = made(tmp_path / "videos", tmp_path / "set", make_tracker=DeadlyTracker)
    assert [e for e in events if isinstance(e, Notice) and "b/1.mp4" in e.text]
    assert rejects(tmp_path / "set") == {"b/1.mp4": "fault"}
    assert {row.identity for row in rows(tmp_path / "set")} == {"a", "c", "d"}
    made(tmp_path / "videos", tmp_path / "set")
    assert rejects(tmp_path / "set") == {}
    assert {row.identity for row in rows(tmp_path / "set")} == {"a", "b", "c", "d"}


def test_pictures_become_clips_of_one_frame_where_they_are_wanted(tmp_path: Path) -> None:
    write_shots(tmp_path / "videos" / "anna" / "1.mp4", shot(16))
    picture = shot(1)[0]
    (tmp_path / "videos" / "bert").mkdir()
    save_png(tmp_path / "videos" / "bert" / "painted.png", picture)
    save_png(tmp_path / "videos" / "bert" / "empty.png", shot(1, 0)[0])
    save_png(tmp_path / "videos" / "bert" / "small.png", shot(1, 24)[0])
    (tmp_path / "videos" / "bert" / "text.jpg").write_text("no picture")
    made(tmp_path / "videos", tmp_path / "set")
    assert [(row.kind, row.n_frames) for row in rows(tmp_path / "set")] == [("real", 16)]
    made(tmp_path / "videos", tmp_path / "set", with_pictures=True)
    row = next(row for row in rows(tmp_path / "set") if row.identity == "bert")
    assert (row.kind, row.n_frames, row.source) == ("picture", 1, "bert/painted.png")
    assert rejects(tmp_path / "set") == {
        "bert/empty.png": "no face",
        "bert/small.png": "face too small",
        "bert/text.jpg": "unreadable",
    }
    frame, labels = read_frames(tmp_path / "set", row)[0], read_labels(tmp_path / "set", row)
    ys, xs = np.nonzero(frame[..., 0].astype(int) > 170)
    face = labels.points[0, :68]
    np.testing.assert_allclose(face.min(axis=0), [xs.min(), ys.min()], atol=1.5)
    np.testing.assert_allclose(face.max(axis=0), [xs.max(), ys.max()], atol=1.5)
    made(tmp_path / "videos", tmp_path / "set", with_pictures=True, make_tracker=DeadlyTracker)
    # What was made of them stays when they are not asked for.
    made(tmp_path / "videos", tmp_path / "set")
    assert len(rows(tmp_path / "set")) == 2


def test_a_video_that_changed_is_prepared_anew(tmp_path: Path) -> None:
    video = write_shots(tmp_path / "videos" / "anna" / "1.mp4", shot(20), shot(20, 50, 160))
    made(tmp_path / "videos", tmp_path / "set")
    assert len(rows(tmp_path / "set")) == 2
    write_shots(video, shot(18))
    made(tmp_path / "videos", tmp_path / "set")
    assert [row.n_frames for row in rows(tmp_path / "set")] == [18]
    assert len(list((tmp_path / "set" / "clips").rglob("*.mp4"))) == 1


def test_new_names_and_splits_need_no_new_clips(tmp_path: Path) -> None:
    for name in ("1.mp4", "2.mp4"):
        write_shots(tmp_path / "videos" / "all" / name, shot(16))
    table = tmp_path / "people.csv"
    table.write_text("identity,video\nAnna,all/1.mp4\n")
    people = TableOptions(identity_from=table, val_share=0.0)
    made(tmp_path / "videos", tmp_path / "set", table=people)
    assert [row.identity for row in rows(tmp_path / "set")] == ["Anna"]
    assert rejects(tmp_path / "set") == {"all/2.mp4": "no identity"}
    table.write_text("identity,video\nAnna,all/1.mp4\nBert,all\n")
    made(tmp_path / "videos", tmp_path / "set", table=people)
    assert sorted(row.identity for row in rows(tmp_path / "set")) == ["Anna", "Bert"]
    table.write_text("identity,video\nCora,all\n")
    people = TableOptions(identity_from=table, val_share=1.0)
    made(tmp_path / "videos", tmp_path / "set", table=people, make_tracker=DeadlyTracker)
    assert [(row.identity, row.split) for row in rows(tmp_path / "set")] == [("Cora", "val")] * 2


@pytest.fixture
def one_video(tmp_path: Path) -> Path:
    return write_shots(tmp_path / "videos" / "anna" / "1.mp4", shot(16)).parents[1]


def test_a_dataset_keeps_to_its_options(one_video: Path, tmp_path: Path) -> None:
    made(one_video, tmp_path / "set")
    other = PrepareOptions(64, 40, 32, Fraction(10))
    with pytest.raises(UsageError, match="was begun with --fps 25"):
        made(one_video, tmp_path / "set", options=other)
    with pytest.raises(UsageError, match="was begun with --precision fp32"):
        made(one_video, tmp_path / "set", options=replace(OPTIONS, precision="bf16"))
    (tmp_path / "set" / "prepare.json").write_text("{")
    with pytest.raises(InputError, match=r"prepare\.json is damaged"):
        made(one_video, tmp_path / "set", options=other)


def test_a_first_call_that_made_nothing_binds_no_later_one(one_video: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no video"):
        made(tmp_path / "bare", tmp_path / "set")
    assert not (tmp_path / "set" / "prepare.json").exists()
    # Stopped before anything was made: another option is no contradiction.
    events = prepare(job(one_video, tmp_path / "set"))
    next(events)
    events.close()  # type: ignore[attr-defined]
    made(one_video, tmp_path / "set", options=PrepareOptions(64, 40, 40))
    assert json.loads((tmp_path / "set" / "prepare.json").read_text())["max_frames"] == 40
    assert [row.n_frames for row in rows(tmp_path / "set")] == [16]


def test_a_dataset_of_one_person_says_that_nobody_is_left(one_video: Path, tmp_path: Path) -> None:
    notices = [e.text for e in made(one_video, tmp_path / "set") if isinstance(e, Notice)]
    assert "all videos are of one person" in notices[-1]


def test_a_dataset_of_pictures_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("a", "b"):
        save_png(tmp_path / "pictures" / f"{name}.png", shot(1)[0])
    events = made(tmp_path / "pictures", tmp_path / "set", with_pictures=True)
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert "nobody is left for train and val: there are still pictures alone" in notices[-1]


def test_a_folder_of_other_things_is_not_written_to(one_video: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds something else"):
        made(one_video, one_video)
    assert [path.name for path in one_video.iterdir()] == ["anna"]
    with pytest.raises(InputError, match="is not a folder"):
        made(tmp_path / "absent", tmp_path / "set")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no video"):
        made(tmp_path / "bare", tmp_path / "set")
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be made") as caught:
        made(one_video, tmp_path / "file" / "set")
    assert caught.value.hint == "give another folder with -o"


def test_two_runs_do_not_write_one_dataset(one_video: Path, tmp_path: Path) -> None:
    events: Iterator[StageEvent] = prepare(job(one_video, tmp_path / "set"))
    next(events)
    with pytest.raises(WorkspaceError, match="another run"):
        made(one_video, tmp_path / "set")
    events.close()  # type: ignore[attr-defined]
    made(one_video, tmp_path / "set")
    assert len(rows(tmp_path / "set")) == 1


def test_a_dataset_inside_its_videos_is_not_looked_at(one_video: Path) -> None:
    made(one_video, one_video / "set")
    events = made(one_video, one_video / "set")
    assert events[-1] == Progress(1, 1, "videos")
