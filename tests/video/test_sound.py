"""Sound stays where it was against the picture, copied where the container takes it."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video.conftest import Make
from tests.video.made_videos import ffmpeg, opus_error_s, pattern, write_video
from thvideo.errors import InputError
from thvideo.stages.finished import join_and_listen
from thvideo.video.audio import Sound, driver_sound, file_sound
from thvideo.video.drift import Drift, measure_drift
from thvideo.video.encode import EncodeSettings
from thvideo.video.ffmpeg import ffmpeg_path
from thvideo.video.formats import HELD, Held
from thvideo.video.probe import probe
from thvideo.video.read import Scan, scan
from thvideo.video.streams import AudioStream
from thvideo.video.timing import FrameTimes
from thvideo.video.write import encode_chunk

RATE = 48_000
# Clicks of 2 ms at these seconds of the driver: what is heard can be found again to the sample.
CLICKS_S = (0.5, 1.0, 1.5, 1.9)
CLICKS = "+".join(f"between(t,{s},{s + 0.002})" for s in CLICKS_S)
SOUND = f"aevalsrc='0.01*sin(3000*t)+0.7*({CLICKS})*sin(9000*t)':s={RATE}:d=2"
PICTURE = "testsrc2=s=64x48:r=30000/1001:d=2"

AAC = AudioStream(0, "aac", 44_100, "mono", "fltp")

PAIRS = [
    ("aac", "mp4", "mp4", True),
    ("aac", "mp4", "mov", True),
    ("aac", "mp4", "mkv", True),
    ("aac", "mp4", "webm", False),
    ("aac", "ts", "mp4", True),
    ("aac", "mkv", "mp4", True),
    ("libmp3lame", "mkv", "mp4", True),
    ("ac3", "mkv", "mp4", True),
    ("alac", "mov", "mov", True),
    ("libopus", "webm", "webm", True),
    ("libopus", "webm", "mkv", True),
    ("libvorbis", "webm", "webm", True),
    ("libvorbis", "webm", "mp4", False),
    ("pcm_s16le", "mov", "mov", True),
    ("pcm_s16le", "mov", "mkv", True),
    ("pcm_s16le", "mov", "mp4", False),
]


def times_of(path: Path) -> FrameTimes:
    *_, result = scan(path, probe(path))
    assert isinstance(result, Scan)
    return result.times


def clicks_s(path: Path) -> list[float]:
    """Return when clicks are heard, in seconds after the first frame, decoding independently."""
    command = [str(ffmpeg_path()), "-v", "error", "-copyts", "-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-af", f"aresample={RATE}:async=1:first_pts=0", "-ac", "1", "-f", "f32le", "-"]
    samples = subprocess.run(command, capture_output=True, check=True).stdout
    loud = np.abs(np.frombuffer(samples, np.float32)) > 0.2
    at = np.flatnonzero(loud) / RATE
    starts = at[np.concatenate([[True], np.diff(at) > 0.1])] if len(at) else at
    return [float(s) for s in starts - float(times_of(path).start)]


def remade(tmp_path: Path, driver: Path, container: str) -> tuple[Path, Sound, Drift]:
    times = times_of(driver)
    sound = driver_sound(driver, times.start)
    assert sound is not None
    folder = tmp_path / "remade"
    folder.mkdir()
    out = write_video(folder, times, container, sound=sound)
    return out, sound, measure_drift(out, times, sound)


@pytest.mark.parametrize(("codec", "suffix", "container", "copied"), PAIRS)
def test_sound_keeps_its_place(
    make: Make, tmp_path: Path, codec: str, suffix: str, container: str, copied: bool
) -> None:
    driver = make(f"d.{suffix}", "-c:a", codec, "-b:a", "128k", video=PICTURE, audio=SOUND)
    out, sound, drift = remade(tmp_path, driver, container)
    if codec == "libopus" and opus_error_s(container):
        copied = False  # the driver itself has its sound before the picture
    assert sound.is_copied(container) == copied
    assert probe(out).audio_codec == sound.stream.codec or not copied
    most_ms = 1 + 1000 * opus_error_s(container)
    assert drift.sound_offset_ms is not None and abs(drift.sound_offset_ms) < most_ms
    assert drift.sound_end_drift_ms is not None and abs(drift.sound_end_drift_ms) < most_ms
    before, after = clicks_s(driver), clicks_s(out)
    assert len(after) == len(CLICKS_S)
    # Matroska rounds every time to 1 ms, the sound's and the picture's.
    allowed = 0.0016 if container in ("mkv", "webm") else 0.0005
    assert np.abs(np.array(after) - before).max() < allowed + opus_error_s(container)


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm"])
@pytest.mark.parametrize("shift_s", [0.3333, -0.25, -0.01])
def test_sound_that_starts_elsewhere_than_the_picture_keeps_its_offset(
    make: Make, tmp_path: Path, container: str, shift_s: float
) -> None:
    whole = make("w.mkv", "-c:a", "pcm_s16le", video=PICTURE, audio=SOUND)
    driver = tmp_path / "d.mov"
    moved = ["-itsoffset", shift_s, "-i", whole, "-map", "0:v", "-map", "1:a"]
    ffmpeg("-i", whole, *moved, "-c:v", "copy", "-c:a", "aac", driver)
    out, _, drift = remade(tmp_path, driver, container)
    error_s = opus_error_s(container)
    assert drift.sound_offset_ms is not None
    assert abs(drift.sound_offset_ms) < 1 + 1000 * error_s
    before, after = np.array(clicks_s(driver)), np.array(clicks_s(out))
    before = before[before < 1.95]
    assert len(after) >= 3
    assert np.abs(after - before[-len(after) :]).max() < 0.0016 + error_s


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    ("suffix", "early_s"), [("ts", 0.05), ("ts", 0.3), ("flv", 0.3), ("mov", 0.3), ("mkv", 0.05)]
)
def test_sound_that_begins_before_the_picture_loses_nothing_after_it(
    make: Make, tmp_path: Path, container: str, suffix: str, early_s: float
) -> None:
    # Clicks from the very first moment of the picture on, and one before it.
    at_s = [early_s + s for s in (-0.02, 0.002, 0.3, 0.6)]
    clicks = "+".join(f"between(t,{s},{s + 0.002})" for s in at_s)
    voice = f"aevalsrc='(0.02+0.7*({clicks}))*sin(9000*t)':s={RATE}:d=1.5"
    driver = make(f"d.{suffix}", "-c:a", "aac", "-b:a", "192k", "-c:v", "libx264",
                  video=f"testsrc2=s=64x48:r=25:d=1,setpts=PTS+{early_s}/TB",
                  audio=voice)  # fmt: skip
    out, _, drift = remade(tmp_path, driver, container)
    error_s = opus_error_s(container)
    assert drift.sound_missing_ms == 0
    assert drift.sound_shift_ms is not None
    assert abs(drift.sound_shift_ms) < 1 + 1000 * error_s
    before, after = np.array(clicks_s(driver)), np.array(clicks_s(out))
    assert len(before) == len(after) == 3
    assert np.abs(after - before).max() < 0.0016 + error_s


@pytest.mark.parametrize(
    ("filters", "missing_ms", "shift_ms"),
    [
        ("anull", 0, 0),
        ("volume=0:enable='lt(t,1.02)'", 500, 0),
        ("adelay=200:all=1", 100, 200),
        ("volume=0.3", 0, 0),
    ],
)
def test_drift_hears_what_is_missing_and_what_is_late(
    make: Make, tmp_path: Path, filters: str, missing_ms: float, shift_ms: float
) -> None:
    voice = f"aevalsrc='0.3*sin(900*t)*pow(sin(3*t+2*t*t),2)':s={RATE}:d=3"
    driver = make("d.mp4", video="testsrc2=s=64x48:r=25:d=3", audio=voice)
    times = times_of(driver)
    out = tmp_path / "o.mkv"
    ffmpeg("-i", driver, "-c:v", "copy", "-af", filters, "-c:a", "pcm_s16le", out)
    drift = measure_drift(out, times, driver_sound(driver, times.start))
    assert drift.sound_missing_ms is not None and drift.sound_shift_ms is not None
    assert abs(drift.sound_shift_ms - shift_ms) < 1
    assert drift.sound_missing_ms >= missing_ms
    assert bool(drift.sound_fault) == bool(missing_ms or shift_ms)


def test_a_file_whose_sound_was_lost_misses_all_of_it(make: Make) -> None:
    driver = make("d.mp4", video="testsrc2=s=64x48:r=25:d=1", audio="anoisesrc=d=1:a=0.3")
    silent = make("o.mp4", video="testsrc2=s=64x48:r=25:d=1")
    drift = measure_drift(silent, times_of(driver), driver_sound(driver, times_of(driver).start))
    assert drift.sound_missing_ms is not None and drift.sound_missing_ms > 950
    assert "missing" in drift.sound_fault


@pytest.mark.parametrize(("codec", "container"), [("aac", "mp4"), ("aac", "webm"), ("aac", "mkv")])
def test_longer_sound_ends_with_the_picture(
    make: Make, tmp_path: Path, codec: str, container: str
) -> None:
    long_sound = make("s.m4a", "-c:a", codec, audio="sine=d=5")
    times = FrameTimes.constant(Fraction(30000, 1001), 31)
    sound = file_sound(long_sound)
    out = write_video(tmp_path, times, container, sound=sound)
    seconds = len(_pcm(out)) / 44_100
    # A copy ends after the packet that reaches the end, what is encoded at the sample.
    allowed = 0.0235 if sound.is_copied(container) else 0.0015
    assert -0.001 <= seconds - times.duration_s <= allowed


def test_another_files_sound_is_heard_from_its_start(make: Make, tmp_path: Path) -> None:
    song = make("song.mp3", "-c:a", "libmp3lame", audio=SOUND)
    times = FrameTimes(np.arange(40, dtype=np.int64) * 40 + 5000, Fraction(1, 1000), 40)
    out = write_video(tmp_path, times, "mp4", sound=file_sound(song))
    heard = clicks_s(out)
    assert np.abs(np.array(heard) - CLICKS_S[: len(heard)]).max() < 0.002
    assert len(heard) == 3


def test_sound_outside_the_picture_is_left_out(tmp_path: Path) -> None:
    times = FrameTimes.constant(Fraction(25), 10)
    missing = tmp_path / "never-opened.m4a"
    late = Sound(missing, AAC, Fraction(0), Fraction(5), Fraction(1), Fraction(1, 50))
    out = write_video(tmp_path, times, "mp4", sound=late)
    assert not probe(out).has_audio
    assert measure_drift(out, times, None).sound_offset_ms is None


def test_a_file_without_sound_is_an_input_error(make: Make) -> None:
    silent = make("silent.mp4", video=PICTURE)
    assert driver_sound(silent, times_of(silent).start) is None
    with pytest.raises(InputError, match="no sound"):
        file_sound(silent)


def test_real_drivers_keep_sound_and_times(shared_data: Path, tmp_path: Path) -> None:
    driver = shared_data / "drivers" / "speech_odd_rate.mp4"
    _, _, drift = remade(tmp_path, driver, "mp4")
    assert drift.n_frames_out == drift.n_frames_in
    assert drift.max_time_error_ms < 1e-6
    assert abs(drift.end_drift_ms) < 1e-6
    assert drift.sound_offset_ms is not None and abs(drift.sound_offset_ms) < 1
    assert drift.sound_end_drift_ms is not None and abs(drift.sound_end_drift_ms) < 1


def _pcm(path: Path) -> np.ndarray:
    command = [str(ffmpeg_path()), "-v", "error", "-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-ar", "44100", "-ac", "1", "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)


def test_a_copy_that_fails_or_sounds_wrong_is_replaced_by_encoded_sound(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were the table wrong: mov takes WavPack, and nothing reads it there; mp4 does not take it.
    for codec, container in (("wavpack", "mov"), ("wavpack", "mp4")):
        name = codec.removeprefix("lib")
        monkeypatch.setitem(HELD[container], name, Held())  # type: ignore[index]
        driver = make(f"{name}.mkv", "-c:a", codec, video=PICTURE, audio=SOUND)
        times = times_of(driver)
        sound = driver_sound(driver, times.start)
        assert sound is not None and sound.is_copied(container)  # type: ignore[arg-type]
        chunk, out = tmp_path / "chunk.mp4", tmp_path / f"{name}.{container}"
        settings = EncodeSettings(container, preset="ultrafast")  # type: ignore[arg-type]
        encode_chunk(chunk, iter([pattern(times.n_frames)]), times, 0, times.n_frames, settings)
        finished = join_and_listen([chunk], out, times, settings, sound)
        assert "a copy of the sound fails" in finished.notices[0]
        assert len(finished.notices) == 1
        assert finished.sound is not None and finished.sound.is_encoded
        assert finished.drift.sound_fault == ""
        assert np.abs(np.array(clicks_s(out)) - clicks_s(driver)).max() < 0.0016
