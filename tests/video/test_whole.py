"""Only what is really missing from a file is told: by the times of packets and of frames."""

from pathlib import Path

import pytest

from tests.video.conftest import Make
from tests.video.made_videos import ffmpeg
from thvideo.errors import InputError
from thvideo.video.probe import probe
from thvideo.video.read import Scan, scan

NOISE = "testsrc2=s=64x48:r=25:d={},noise=alls=40:allf=t"
SHORT = "testsrc2=s=64x48:r=25:d=1.2"
MARK = bytes.fromhex("086f3693b7b34f2c965321492feee5b8")


def scanned(path: Path) -> Scan:
    *_, result = scan(path, probe(path))
    assert isinstance(result, Scan)
    return result


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    part = path.with_name(f"part-{path.name}")
    part.write_bytes(data[: int(len(data) * share)])
    return part


def test_a_duration_in_a_text_is_not_the_files(make: Make, tmp_path: Path) -> None:
    clip = make("clip.mp4", video=SHORT)
    said = (
        "A talk.\nDuration: 00:12:34\n  Duration: 00:55:00.00, start: 1\nInput #0, hls, from 'x':"
    )
    path = tmp_path / "said.mkv"
    key = "  Duration: 00:33:00.00, start"
    tags = [
        "-metadata",
        f"description={said}",
        "-metadata",
        f"{key}=4",
        "-metadata",
        f"title={said}",
    ]
    ffmpeg("-i", clip, "-c", "copy", *tags, path)
    assert probe(path).duration_s == pytest.approx(1.2, abs=0.03)
    assert scanned(path).times.n_frames == 30


def test_a_stream_or_a_turn_in_a_text_is_none(make: Make, tmp_path: Path) -> None:
    clip = make("clip.mp4", video=SHORT)
    said = "Stream #0:0: Video: h264, yuv420p, 640x480, 99 fps\nStream #0:1: Audio: aac, 44100 Hz"
    turn = "displaymatrix: rotation of -90.00 degrees"
    path = tmp_path / "said.mkv"
    tags = ["-metadata", f"title={said}", "-metadata", f"Stream #0:1: Audio: mp3, 8000 Hz={said}"]
    ffmpeg("-i", clip, "-c", "copy", *tags, "-metadata:s:v:0", f"title={turn}", path)
    info = probe(path)
    assert (info.size, info.has_audio, info.rate) == ((48, 64), False, 25)


def test_a_file_name_is_read_for_nothing(make: Make) -> None:
    name = "a':\n[info]   Duration: 09:00:00.00, start\n[info]   Stream #0:9: Audio: mp3, 1 Hz.mp4"
    path = make("clip.mp4", video=SHORT)
    path = path.rename(path.with_name(name))
    info = probe(path)
    assert (info.duration_s, info.has_audio) == (pytest.approx(1.2, abs=0.03), False)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.flv", "a.avi"])
@pytest.mark.parametrize("sound", ["", "sine=d=1.2"])
def test_a_clock_that_begins_at_ten_seconds_hides_nothing(
    make: Make, tmp_path: Path, name: str, sound: str
) -> None:
    clip = make("clip.mp4", video=SHORT, audio=sound)
    path = tmp_path / name
    codecs = ["-c:a", "mp2", "-c:v", "mpeg4"] if name == "a.avi" else ["-c", "copy"]
    ffmpeg("-i", clip, *codecs, "-output_ts_offset", 10, path)
    assert scanned(path).times.n_frames in (30, 31)  # an AVI begins with an empty frame


def test_a_segment_of_a_live_stream_is_whole(make: Make, tmp_path: Path) -> None:
    sized = ["-c:v", "libx264", "-g", 25, "-keyint_min", 25, "-sc_threshold", 0]
    clip = make("clip.mp4", *sized, video="testsrc2=s=64x48:r=25:d=3")
    names = ["-init_seg_name", "init.mp4", "-media_seg_name", "part-$Number$.mp4"]
    ffmpeg("-i", clip, "-c", "copy", "-f", "dash", "-seg_duration", 1, *names, tmp_path / "x.mpd")
    path = tmp_path / "segment.mp4"
    path.write_bytes((tmp_path / "init.mp4").read_bytes() + (tmp_path / "part-3.mp4").read_bytes())
    result = scanned(path)
    assert (result.times.n_frames, float(result.times.start)) == (25, pytest.approx(2, abs=0.2))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_a_picture_that_begins_after_the_sound_is_whole(
    make: Make, tmp_path: Path, name: str
) -> None:
    picture, sound = make("v.mp4", video=SHORT), make("s.m4a", audio="sine=d=4")
    path = tmp_path / name
    both = ["-map", "0:v", "-map", "1:a", "-c", "copy"]
    ffmpeg("-itsoffset", 2, "-i", picture, "-i", sound, *both, path)
    assert scanned(path).times.n_frames == 30


@pytest.mark.parametrize("offset_s", [0, 10])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
def test_a_file_that_was_cut_off_is_told_whenever_its_clock_begins(
    make: Make, tmp_path: Path, name: str, offset_s: int
) -> None:
    clip = make("clip.mp4", video=NOISE.format(4), audio="sine=d=4")
    path = tmp_path / name
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", offset_s, "-movflags", "+faststart", path)
    assert scanned(path).times.n_frames == 100
    with pytest.raises(InputError, match=r"ends at frame \d\d \(") as caught:
        scanned(cut(path, 0.6))
    assert "cut off" in caught.value.hint


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_loss_of_a_few_frames_is_told(make: Make, name: str) -> None:
    path = make(name, "-movflags", "+faststart", video=NOISE.format(0.6))
    with pytest.raises(InputError, match=r"ends at frame \d+ \(0\.\d\d s of 0\.60 s\)"):
        scanned(cut(path, 0.7))


def test_a_tail_of_zeros_is_no_picture(make: Make) -> None:
    path = make("a.mp4", "-movflags", "+faststart", video=NOISE.format(4), audio="sine=d=4")
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(len(data) - half))
    with pytest.raises(InputError, match=r"ends at frame \d+ \(\d\.\d\d s of 4\.0\d s\)"):
        scanned(path)


def test_a_damaged_message_in_a_frame_is_told_and_no_more(make: Make) -> None:
    text = f"sei_user_data={MARK.hex()[:8]}-b7b3-4f2c-9653-21492feee5b8+hello"
    path = make("a.mp4", "-c:v", "libx264", "-bsf:v", f"h264_metadata={text}", video=SHORT)
    data = bytearray(path.read_bytes())
    data[data.index(MARK) - 1] = 0xFE  # longer than what holds it
    path.write_bytes(data)
    result = scanned(path)
    assert result.times.n_frames == 30
    assert result.n_errors
    assert any("truncated" in notice for notice in result.notices)


def test_frames_that_a_phone_has_cut_off_are_not_missed(make: Make) -> None:
    """A phone shortens a film by its edit list alone; all packets stay."""
    path = make("a.mp4", "-bf", 3, video="testsrc2=s=64x48:r=25:d=4", audio="sine=d=4")
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12  # the video's first entry: how long it lasts
    whole = int.from_bytes(data[place : place + 4], "big")
    data[place : place + 4] = (whole * 3 // 8).to_bytes(4, "big")
    path.write_bytes(data)
    assert scanned(path).times.n_frames in (37, 38)
