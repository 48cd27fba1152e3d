"""Frames come out upright, in true colours, all of them, and nothing is left behind."""

import errno
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.video.conftest import Make
from tests.video.made_videos import ffmpeg, numbers, uneven, write_video
from thvideo.errors import InputError, WorkspaceError
from thvideo.video.decode import frames_arguments
from thvideo.video.ffmpeg import run_ffmpeg
from thvideo.video.probe import probe
from thvideo.video.read import Scan, ScanProgress, increasing, read_frames, scan
from thvideo.video.timing import FrameTimes

COLOURS = [
    (235, 40, 30),
    (30, 200, 60),
    (20, 50, 220),
    (240, 220, 20),
    (90, 90, 90),
    (16, 235, 235),
]
CARRIERS = ["bt709", "smpte170m", "bt470bg", "bt2020nc", "smpte240m", "fcc"]
MATRICES = {"bt709": "bt709", "bt2020nc": "bt2020", "smpte240m": "smpte240m", "fcc": "fcc"}


def ffmpeg_version() -> tuple[int, int]:
    said = run_ffmpeg(["-version"]).decode()
    found = re.match(r"ffmpeg version n?(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (99, 0)


def scanned(path: Path) -> Scan:
    *progress, result = scan(path, probe(path))
    assert isinstance(result, Scan)
    assert all(isinstance(event, ScanProgress) for event in progress)
    return result


def all_frames(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(path, probe(path))))


def patches() -> str:
    """Return a lavfi source of full-range RGB with one patch of 32 px for each colour."""
    names = [f"color=c=#{r:02x}{g:02x}{b:02x}:s=32x64:d=0.08" for r, g, b in COLOURS]
    made = ";".join(f"{name},format=gbrp[c{i}]" for i, name in enumerate(names))
    joined = "".join(f"[c{i}]" for i in range(len(names)))
    return f"{made};{joined}hstack=inputs={len(names)}"


def patch_errors(frame: np.ndarray) -> int:
    centres = frame[32, 16::32].astype(int)
    return int(np.abs(centres - np.array(COLOURS)).max())


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.parametrize("matrix", CARRIERS)
def test_colours_do_not_shift(make: Make, matrix: str, range_: str, pix_fmt: str) -> None:
    out = MATRICES.get(matrix, "bt601")
    to_yuv = f"scale=out_color_matrix={out}:out_range={range_}:flags=accurate_rnd,format={pix_fmt}"
    tags = f"setparams=colorspace={matrix}:range={range_}:color_primaries=bt709:color_trc=bt709"
    options = ["-colorspace", matrix, "-color_range", range_, "-c:v", "libx264", "-qp", 1]
    path = make("a.mp4", "-vf", f"{to_yuv},{tags}", *options, video=patches())
    info = probe(path)
    assert (info.matrix, info.color_range) == (matrix, range_)
    assert patch_errors(all_frames(path)[0]) <= 3


@pytest.mark.parametrize("codec", ["ffv1", "libx264rgb", "png"])
def test_rgb_files_keep_their_colours(make: Make, codec: str) -> None:
    path = make("a.mkv", "-c:v", codec, video=patches())
    assert patch_errors(all_frames(path)[0]) <= 2


def in_bt2020(transfer: str, white_nits: int = 203) -> list[object]:
    """Return options that carry full-range BT.709 RGB in BT.2020, its white as bright as given."""
    filters = [
        "setparams=colorspace=gbr:color_primaries=bt709:color_trc=bt709:range=pc",
        f"zscale=transfer=linear:npl={white_nits}",
        "format=gbrpf32le",
        "zscale=primaries=2020",
        f"zscale=transfer={transfer}:matrix=2020_ncl:range=limited:npl={white_nits}",
        "format=yuv444p10le",
        f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range=tv",
    ]
    return ["-vf", ",".join(filters), "-c:v", "libx264", "-qp", 1]


def test_wide_gamut_sdr_is_brought_to_bt709(make: Make) -> None:
    path = make("a.mp4", *in_bt2020("bt2020-10"), video=patches())
    assert probe(path).primaries == "bt2020"
    centres = all_frames(path)[0][32, 16::32].astype(int)
    # Without the sixth: ten bits do not resolve the dark red in a bright cyan.
    assert np.abs(centres[:5] - np.array(COLOURS)[:5]).max() <= 4


@pytest.mark.parametrize("pix_fmt", ["yuv444p10le", "gbrp"])
def test_display_p3_is_brought_to_bt709(make: Make, pix_fmt: str) -> None:
    tags = "color_primaries={}:color_trc=bt709:colorspace={}:range={}"
    yuv = pix_fmt != "gbrp"
    matrix = "bt709" if yuv else "gbr"
    to_p3 = [
        f"setparams={tags.format('bt709', 'gbr', 'pc')}",
        f"zscale=primaries=smpte432:matrix={matrix}:range={'limited' if yuv else 'full'}",
        f"format={pix_fmt}",
        f"setparams={tags.format('smpte432', matrix, 'tv' if yuv else 'pc')}",
    ]
    options = ["-c:v", "libx264", "-qp", 1] if yuv else ["-c:v", "ffv1"]
    path = make("a.mkv", "-vf", ",".join(to_p3), *options, video=patches())
    assert probe(path).primaries == "smpte432"
    assert patch_errors(all_frames(path)[0]) <= 4


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_what_sdr_can_show_looks_in_hdr_as_it_does_there(make: Make, transfer: str) -> None:
    path = make("a.mp4", *in_bt2020(transfer), video=patches())
    assert probe(path).is_hdr
    frame = all_frames(path)[0]
    centres = frame[32, 16::32].astype(int)
    # Without the sixth: ten bits do not resolve the dark red in a bright cyan.
    assert np.abs(centres[:5] - np.array(COLOURS)[:5]).max() <= 6
    assert abs(frame.mean() - np.mean(COLOURS)) <= 5


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_light_brighter_than_white_keeps_its_order_and_its_hue(make: Make, transfer: str) -> None:
    greys = "gradients=s=256x64:c0=black:c1=white:x0=0:y0=0:x1=255:y1=0:d=0.08,format=gbrp"
    path = make("a.mp4", *in_bt2020(transfer, white_nits=900), video=greys)
    row = all_frames(path)[0][32].astype(int)
    assert (np.diff(row.mean(1)) >= -1).all()
    # Half of the row is brighter than SDR's white.
    assert row[250].mean() > row[128].mean() + 4
    assert np.ptp(row[:250], axis=1).max() <= 6


@pytest.mark.parametrize("filters", [frozenset(), frozenset({"zscale", "tonemap"})])
def test_hdr_is_decoded_with_and_without_a_tone_mapper(make: Make, filters: frozenset[str]) -> None:
    path = make("a.mp4", *in_bt2020("smpte2084"), video=patches())
    args = frames_arguments(path, probe(path), (64, 192), 0, None, filters)
    assert ("tonemap" in " ".join(args)) == bool(filters)
    assert len(run_ffmpeg(args)) == 2 * 64 * 192 * 3


def turned_by_the_container(flat: Path, out: Path) -> None:
    ffmpeg("-display_rotation", -90, "-i", flat, "-c", "copy", out)


def turned_by_a_message(flat: Path, out: Path) -> None:
    ffmpeg(
        "-i",
        flat,
        "-c",
        "copy",
        "-bsf:v",
        "h264_metadata=display_orientation=insert:rotate=-90",
        out,
    )


def turned_by_exif(flat: Path, out: Path) -> None:
    picture, exif = Image.fromarray(all_frames(flat)[0]), Image.Exif()
    exif[0x0112] = 6  # the stored top is the right side
    picture.save(out.with_suffix(".jpg"), exif=exif, quality=95)
    ffmpeg("-loop", 1, "-i", out.with_suffix(".jpg"), "-frames:v", 2, "-c", "copy", out)


TURNS = [turned_by_the_container, turned_by_a_message, turned_by_exif]


@pytest.mark.parametrize("turn", TURNS)
def test_turned_frames_are_upright(
    make: Make, tmp_path: Path, turn: Callable[[Path, Path], None]
) -> None:
    flat = make("flat.mp4", "-vf", "drawbox=0:0:16:16:red:fill", video="color=gray:s=64x48:d=0.1")
    turned = tmp_path / ("turned.avi" if turn is turned_by_exif else "turned.mp4")
    turn(flat, turned)
    if turn is turned_by_exif and ffmpeg_version() < (8, 0):
        pytest.skip("ffmpeg reads EXIF in video since version 8")
    frame = all_frames(turned)[0]
    assert frame.shape == (64, 48, 3)
    # The corner that is stored at the upper left appears at the upper right.
    assert frame[6, 40, 0] > 180 > 100 > frame[6, 6, 0] - 60
    assert frame[6, 6, 0] < 160


def test_the_containers_aspect_goes_before_the_codecs(make: Make, tmp_path: Path) -> None:
    flat = make("flat.mp4", "-vf", "setsar=1", video="testsrc2=s=64x96:d=0.1")
    for name in ("wide.mp4", "wide.mkv", "wide.mov"):
        wide = tmp_path / name
        ffmpeg("-i", flat, "-c", "copy", "-aspect", "4:3", wide)
        assert all_frames(wide).shape[1:] == (96, 128, 3), name


def test_oblong_pixels_that_lie_on_their_side_become_square(make: Make, tmp_path: Path) -> None:
    flat, turned = (
        make("flat.mp4", "-vf", "setsar=2/1", video="testsrc2=s=64x96:d=0.1"),
        tmp_path / "t.mp4",
    )
    turned_by_the_container(flat, turned)
    assert all_frames(turned).shape[1:] == (128, 96, 3)


def test_oblong_pixels_become_square(make: Make) -> None:
    path = make("a.mp4", "-vf", "setsar=2/1", video="testsrc2=s=64x48:d=0.1")
    assert all_frames(path).shape[1:] == (48, 128, 3)


def test_odd_sizes_are_kept(make: Make) -> None:
    path = make("a.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", video="testsrc=s=67x51:d=0.1")
    assert all_frames(path).shape[1:] == (51, 67, 3)


def test_frames_can_be_wanted_smaller(make: Make) -> None:
    path = make("a.mp4", video="testsrc2=s=64x48:d=0.1")
    first = next(read_frames(path, probe(path), height_width=(24, 32)))
    assert first.shape[1:] == (24, 32, 3)


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 5), (13, 29), (39, 40), (25, None)])
def test_a_span_of_frames_is_exact_whatever_the_batch(
    tmp_path: Path, start: int, stop: int | None, batch: int
) -> None:
    path = write_video(tmp_path, uneven(40, Fraction(1, 90_000)))
    frames = list(read_frames(path, probe(path), start=start, stop=stop, batch=batch))
    assert numbers(np.concatenate(frames)) == list(range(start, stop or 40))
    assert all(len(frame) == batch for frame in frames[:-1])


def test_an_empty_span_yields_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path, FrameTimes.constant(Fraction(25), 3))
    assert list(read_frames(path, probe(path), start=2, stop=2)) == []


def test_b_frames_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    plain = write_video(tmp_path, FrameTimes.constant(Fraction(25), 50))
    path = tmp_path / "b.mp4"
    ffmpeg("-i", plain, "-c:v", "libx264", "-bf", 3, "-g", 12, "-crf", 5, path)
    assert numbers(all_frames(path)) == list(range(50))
    assert numbers(np.concatenate(list(read_frames(path, probe(path), start=30)))) == [
        *range(30, 50)
    ]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.ts", "a.mov", "a.flv"])
def test_every_container_gives_as_many_times_as_frames(make: Make, name: str) -> None:
    # ffmpeg puts an empty first frame into an AVI with sound.
    audio = "" if name == "a.avi" else "sine=d=1"
    path = make(name, video="testsrc2=s=64x48:r=25:d=1", audio=audio)
    result = scanned(path)
    assert result.times.n_frames == len(all_frames(path)) == 25
    steps = np.diff(result.times.seconds())
    assert np.abs(steps - 0.04).max() <= 0.001
    assert abs(result.times.duration_s - 1) <= 0.002


def test_times_that_stand_still_or_go_back_are_moved_as_little_as_possible() -> None:
    mended = increasing(np.array([0, 10, 10, 9, 20, 30], np.int64))
    assert mended.tolist() == [0, 10, 11, 12, 20, 30]


def test_a_clock_that_restarts_goes_on() -> None:
    mended = increasing(np.array([1000, 1010, 1020, 0, 10, 20], np.int64))
    assert mended.tolist() == [1000, 1010, 1020, 1030, 1040, 1050]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_that_was_cut_off_says_where(make: Make, tmp_path: Path, name: str) -> None:
    noise = "testsrc2=s=160x120:r=25:d=6,noise=alls=40:allf=t"
    whole = make(name, "-movflags", "+faststart", video=noise, audio="sine=d=6")
    part = tmp_path / f"part-{name}"
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(
        InputError, match=r"ends at frame \d+ \(\d\.\d\d s of 6\.\d\d s\)"
    ) as caught:
        scanned(part)
    assert caught.value.hint


def test_even_a_short_loss_is_told_when_bytes_are_missing(make: Make, tmp_path: Path) -> None:
    noise = "testsrc2=s=160x120:r=25:d=0.6,noise=alls=40:allf=t"
    whole = make("a.mp4", "-movflags", "+faststart", video=noise)
    part = tmp_path / "part.mp4"
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(InputError, match=r"ends at frame \d+ \(0\.\d\d s of 0\.60 s\)"):
        scanned(part)


def test_sound_that_is_longer_than_the_picture_is_no_damage(make: Make) -> None:
    path = make("a.mp4", video="testsrc2=s=64x48:r=25:d=1", audio="sine=d=5")
    assert scanned(path).times.n_frames == 25


def test_a_video_of_one_frame_is_a_video(make: Make) -> None:
    result = scanned(make("a.mp4", "-frames:v", 1, video="testsrc2=s=64x48:r=25"))
    assert (result.times.n_frames, result.times.duration) == (1, Fraction(1, 25))


def _children() -> set[str]:
    """Processes that this one started; tests before this one may have left some."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for file in tasks for pid in file.read_text().split()}


def test_a_reader_that_is_left_alone_leaves_no_process(make: Make) -> None:
    path = make("a.mp4", video="testsrc2=s=640x480:r=25:d=8")
    before = _children()
    frames = read_frames(path, probe(path), batch=1)
    next(frames)
    frames.close()
    events = scan(path, probe(path))
    next(events)
    events.close()
    assert _children() - before == set()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory on this system")
def test_a_video_is_read_without_a_place_for_temporary_files(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("a.mp4", video="testsrc2=s=64x48:d=0.4")

    def nothing(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    for name in ("TemporaryFile", "mkstemp", "mkdtemp", "TemporaryDirectory"):
        monkeypatch.setattr(tempfile, name, nothing)
    assert scanned(path).times.n_frames == len(all_frames(path)) == 10


def test_where_neither_memory_nor_a_folder_takes_a_temporary_file_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "memfd_create", full, raising=False)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(WorkspaceError, match="no temporary file can be made") as error:
        run_ffmpeg(["-version"])
    assert "TMPDIR" in error.value.hint


def test_memory_does_not_grow_with_the_length(make: Make) -> None:
    size = "s=640x360:r=25"
    peaks = []
    for seconds in (2, 20):
        path = make(f"{seconds}.mp4", "-preset", "ultrafast", video=f"testsrc2={size}:d={seconds}")
        peaks.append(_peak_bytes(path))
    assert peaks[1] < 1.1 * peaks[0]


def _peak_bytes(path: Path) -> int:
    """Return the peak memory of a process that scans and reads a video, with its ffmpeg's."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from thvideo.video.probe import probe\n"
        "from thvideo.video.read import read_frames, scan\n"
        "path = Path(sys.argv[1]); info = probe(path)\n"
        "for _ in scan(path, info): pass\n"
        "for _ in read_frames(path, info, batch=8): pass\n"
        "who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)\n"
        "print(sum(resource.getrusage(w).ru_maxrss for w in who))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return int(done.stdout)


def test_real_drivers_are_read_whole(shared_data: Path) -> None:
    rates = {}
    for path in sorted((shared_data / "drivers").glob("*.mp4")):
        result = scanned(path)
        assert result.n_errors == 0, path
        assert result.cuts == (), path
        rates[path.stem] = result.times.rate
        first = next(itertools.islice(read_frames(path, probe(path), start=50, stop=52), 1))
        assert first.shape == (2, *probe(path).size, 3)
    assert rates["expressions_23976fps"] == Fraction(24000, 1001)
    assert rates["speech_25fps"] == 25
    assert abs(float(rates["speech_odd_rate"]) - 22.13) < 0.01
