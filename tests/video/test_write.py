"""Written videos, read back: times, colours, metadata, errors."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.video.made_videos import (
    children,
    described,
    ffmpeg,
    numbers,
    pattern,
    uneven,
    write_video,
)
from thvideo.errors import StageError, WorkspaceError
from thvideo.video.drift import measure_drift
from thvideo.video.encode import EncodeSettings
from thvideo.video.ffmpeg import running
from thvideo.video.probe import probe
from thvideo.video.read import Scan, read_frames, scan
from thvideo.video.timing import FrameTimes
from thvideo.video.write import count_frames, encode_chunk, join, write_clip, write_crop_chunk

RATES = [
    Fraction(24000, 1001),
    Fraction(30000, 1001),
    Fraction(15),
    Fraction(2213, 100),
    Fraction(60000, 1001),
]
COARSE = {"mkv": 0.5, "webm": 0.5, "gif": 5.0}


def scanned(path: Path) -> Scan:
    *_, result = scan(path, probe(path))
    assert isinstance(result, Scan)
    return result


def all_frames(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(path, probe(path))))


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_constant_rate_survives_the_join_exactly(
    tmp_path: Path, rate: Fraction, container: str
) -> None:
    times = FrameTimes.constant(rate, 50)
    result = scanned(write_video(tmp_path, times, container, chunk_frames=17)).times
    assert [result.at(i) for i in range(51)] == [times.at(i) for i in range(51)]
    assert result.rate == rate
    assert result.start == 0


@pytest.mark.parametrize(
    "time_base", [Fraction(1, 90_000), Fraction(1, 1000), Fraction(1001, 24000), Fraction(1, 15360)]
)
def test_variable_times_survive_the_join_exactly(tmp_path: Path, time_base: Fraction) -> None:
    times = uneven(60, time_base)
    out = write_video(tmp_path, times, "mp4", chunk_frames=7)
    result = scanned(out).times
    assert [result.at(i) for i in range(61)] == [times.at(i) for i in range(61)]
    assert numbers(all_frames(out)) == list(range(60))


@pytest.mark.parametrize("container", ["mkv", "webm", "gif"])
def test_coarse_containers_round_each_time_once(tmp_path: Path, container: str) -> None:
    times = FrameTimes.constant(Fraction(30000, 1001), 75)
    out = write_video(tmp_path, times, container)
    drift = measure_drift(out, times, None)
    assert drift.n_frames_out == 75
    assert drift.max_time_error_ms <= COARSE[container] + 1e-6
    assert abs(drift.end_drift_ms) <= 2 * COARSE[container]
    assert numbers(all_frames(out)) == list(range(75))


def test_a_thousand_joints_do_not_add_up_to_a_drift(tmp_path: Path) -> None:
    """Durations of chunks are rounded to 1 us; a third of it a chunk would be seen here."""
    times = FrameTimes.constant(Fraction(24000, 1001), 1000)
    settings = EncodeSettings(preset="ultrafast")
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    chunk = tmp_path / "one.mp4"
    encode_chunk(chunk, [frames], times, 0, 1, settings)
    out = tmp_path / "out.mp4"
    join([chunk] * 1000, out, times, settings, None, {})
    assert scanned(out).times.at(999) == times.at(999)


def test_a_single_frame_keeps_its_duration(tmp_path: Path) -> None:
    times = FrameTimes(np.array([77], np.int64), Fraction(1, 600), 250)
    result = scanned(write_video(tmp_path, times)).times
    assert (result.n_frames, result.duration) == (1, Fraction(250, 600))


def test_drift_finds_a_frame_that_is_late(tmp_path: Path) -> None:
    times = FrameTimes.constant(Fraction(25), 30)
    out = write_video(tmp_path, times)
    moved = times.pts.copy()
    moved[20:] += 1
    wrong = FrameTimes(moved * 10, times.time_base / 10, 10)
    drift = measure_drift(out, wrong, None)
    assert drift.max_time_error_ms == pytest.approx(40)
    assert drift.end_drift_ms == pytest.approx(-40)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
def test_colours_come_back_and_are_tagged(tmp_path: Path, container: str) -> None:
    colours = [(200, 30, 40), (30, 180, 60), (40, 50, 210), (128, 128, 128), (250, 250, 5)]
    frames = np.zeros((5, 64, 64, 3), np.uint8)
    frames[:] = np.array(colours)[:, None, None]
    times = FrameTimes.constant(Fraction(25), 5)
    settings = EncodeSettings(container=container, crf=10)
    encode_chunk(tmp_path / "c", [frames], times, 0, 5, settings)
    out = tmp_path / f"out.{container}"
    join([tmp_path / "c"], out, times, settings, None, {})
    info = probe(out)
    assert (info.color_range, info.matrix) == ("tv", "bt709")
    assert (info.primaries, info.transfer, info.pix_fmt) == ("bt709", "bt709", "yuv420p")
    centre = all_frames(out)[:, 32, 32].astype(int)
    assert np.abs(centre - np.array(colours)).max() <= 3


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    times = FrameTimes.constant(Fraction(25), 3)
    out = write_video(tmp_path, times, size=(51, 67))
    assert probe(out).size == (50, 66)
    assert numbers(all_frames(out)) == [0, 1, 2]


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
def test_metadata_says_that_the_video_is_synthetic(tmp_path: Path, container: str) -> None:
    words = {"title": "T: 'a' = b", "comment": "synthetic – made by thvideo", "description": "D; d"}
    times = FrameTimes.constant(Fraction(25), 3)
    text = described(write_video(tmp_path, times, container, metadata=words))
    if container == "mov":
        # QuickTime's own metadata has no description.
        del words["description"]
    for word in words.values():
        assert word in text


def test_a_gif_carries_the_comment_and_no_extra_frame(tmp_path: Path) -> None:
    times = FrameTimes.constant(Fraction(25), 3)
    out = write_video(tmp_path, times, "gif", metadata={"comment": "synthetic " * 40})
    data = out.read_bytes()
    assert data.count(b"synthetic") >= 38
    assert scanned(out).times.n_frames == 3


def test_an_mp4_begins_with_its_index(tmp_path: Path) -> None:
    data = write_video(tmp_path, FrameTimes.constant(Fraction(25), 3)).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        times = FrameTimes.constant(Fraction(25), 30)
        files.append(write_video(tmp_path / name, times, "mkv").read_bytes())
    assert files[0] == files[1]


def test_batch_borders_do_not_matter(tmp_path: Path) -> None:
    times, frames = FrameTimes.constant(Fraction(25), 14), pattern(14)
    settings = EncodeSettings()
    encode_chunk(tmp_path / "a", [frames], times, 0, 14, settings)
    encode_chunk(tmp_path / "b", np.split(frames, 7), times, 0, 14, settings)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("n_given", [2, 4])
def test_a_wrong_number_of_frames_is_an_error(tmp_path: Path, n_given: int) -> None:
    times = FrameTimes.constant(Fraction(25), 3)
    with pytest.raises(StageError, match=f"{n_given} frames came"):
        encode_chunk(tmp_path / "c", [pattern(n_given)], times, 0, 3, EncodeSettings())


def test_a_missing_chunk_is_an_error(tmp_path: Path) -> None:
    times, settings = FrameTimes.constant(Fraction(25), 6), EncodeSettings()
    encode_chunk(tmp_path / "c", [pattern(3)], times, 0, 3, settings)
    assert count_frames(tmp_path / "c") == 3
    with pytest.raises(StageError, match="3 of 6 frames"):
        join([tmp_path / "c"], tmp_path / "o.mp4", times, settings, None, {})


def test_a_half_written_chunk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 40)
    with pytest.raises(StageError, match="not a finished chunk"):
        count_frames(tmp_path / "c")


def test_a_full_disk_is_a_workspace_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is a Linux device")
    times = FrameTimes.constant(Fraction(25), 400)
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (1, 64, 64, 3), np.uint8) for _ in range(400))
    with pytest.raises(WorkspaceError, match="disk is full") as caught:
        encode_chunk(Path("/dev/full"), noise, times, 0, 400, EncodeSettings())
    assert caught.value.hint


def test_a_source_of_frames_that_fails_leaves_no_encoder(tmp_path: Path) -> None:
    def broken() -> object:
        yield pattern(1)
        raise KeyboardInterrupt

    times = FrameTimes.constant(Fraction(25), 3)
    before = set(children())  # such as multiprocessing's own
    with pytest.raises(KeyboardInterrupt):
        encode_chunk(tmp_path / "c", broken(), times, 0, 3, EncodeSettings())
    assert set(children()) <= before


def test_an_ffmpeg_that_would_run_for_ever_is_dead_after_its_block() -> None:
    with running(["-v", "error", "-f", "lavfi", "-i", "testsrc", "-f", "null", "-"]) as child:
        assert child.process.poll() is None
    assert child.process.poll() is not None


def test_crops_come_back_unchanged_and_in_order(tmp_path: Path) -> None:
    frames = pattern(30, (64, 64))
    path = tmp_path / "crops.mkv"
    write_crop_chunk(path, np.split(frames, 6), 30)
    back = all_frames(path)
    assert numbers(back) == list(range(30))
    np.testing.assert_array_equal(back, frames)


def test_the_same_crops_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_crop_chunk(tmp_path / name, iter([pattern(3, (64, 64))]), 3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_names_with_signs_that_mean_something_to_ffmpeg_work(tmp_path: Path) -> None:
    folder = tmp_path / "it's 100%: -a [b];#"
    folder.mkdir()
    out = write_video(folder, FrameTimes.constant(Fraction(25), 3), chunk_frames=2)
    strange = out.rename(folder / "-i %03d 'x':y.mp4")
    assert numbers(all_frames(strange)) == [0, 1, 2]
    assert scanned(strange).times.n_frames == 3
    ffmpeg("-i", f"file:{strange}", "-f", "null", "-")


def test_a_clip_has_its_colours_in_opencv_and_in_ffmpeg(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(20, 235, (6, 4, 4, 3))
    frames = np.repeat(np.repeat(blocks, 16, axis=1), 16, axis=2).astype(np.uint8)
    write_clip(tmp_path / "clip.mp4", iter([frames[:2], frames[2:]]), 6, Fraction(25))
    capture = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    by_opencv = np.stack([capture.read()[1][..., ::-1] for _ in range(6)])
    for read in (all_frames(tmp_path / "clip.mp4"), by_opencv):
        # In the middle of a block halved chroma costs nothing.
        assert np.abs(read[:, 8::16, 8::16].astype(int) - blocks).max() <= 4
    assert scanned(tmp_path / "clip.mp4").times.rate == 25
