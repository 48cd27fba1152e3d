"""Of a file's sounds, the first one is taken that can be heard, and the person is told."""

from pathlib import Path

import pytest

from tests.video.conftest import Make
from tests.video.made_videos import ffmpeg, opus_error_s
from tests.video.test_sound import clicks_s, remade, times_of
from thvideo.errors import InputError
from thvideo.video.audio import driver_sound, file_sound, sound_notices
from thvideo.video.streams import audio_streams, heard_stream, parse_audio_line

PICTURE = "testsrc2=s=64x48:r=25:d=1"
CLICK = "aevalsrc='0.01*sin(3000*t)+0.7*between(t,0.5,0.502)*sin(9000*t)':s=48000:d=1"


@pytest.fixture
def unknown_first(make: Make, tmp_path: Path) -> Path:
    """A video whose first sound is in a codec that no decoder knows; the second is aac."""
    whole = make("w.mp4", "-c:a", "aac", video=PICTURE, audio=CLICK)
    path = tmp_path / "d.mp4"
    # ffmpeg writes what it knows: a sound in ALAC is renamed afterwards.
    ffmpeg("-i", whole, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:v", "copy", "-c:a:0",
           "alac", "-c:a:1", "copy", path)  # fmt: skip
    path.write_bytes(path.read_bytes().replace(b"alac", b"apac"))
    return path


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_first_sound_that_no_decoder_knows_is_passed_over(
    unknown_first: Path, tmp_path: Path, container: str
) -> None:
    assert len(audio_streams(unknown_first)) == 2
    notices = list(sound_notices(unknown_first, container))  # type: ignore[arg-type]
    assert "no decoder here knows sound 1 of d.mp4" in notices[0]
    out, sound, drift = remade(tmp_path, unknown_first, container)
    assert (sound.stream.index, sound.stream.codec) == (1, "aac")
    assert clicks_s(out) == pytest.approx([0.5], abs=0.002 + opus_error_s(container))
    assert drift.sound_missing_ms == 0


def test_where_no_sound_can_be_decoded_the_person_is_told(tmp_path: Path) -> None:
    only = tmp_path / "only.mp4"
    ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", CLICK, "-c:a", "alac", only)
    only.write_bytes(only.read_bytes().replace(b"alac", b"apac"))
    assert heard_stream(only) is None
    assert driver_sound(only, times_of(only).start) is None
    (notice,) = sound_notices(only, "mp4")
    assert "the video has none" in notice
    with pytest.raises(InputError, match="can be decoded here"):
        file_sound(only)


@pytest.mark.parametrize(
    ("suffix", "options", "container", "said"),
    [
        ("avi", ("-c:a", "libmp3lame", "-ar", "11025"), "mp4", "mp3 11025 Hz mono"),
        ("mkv", ("-c:a", "ac3", "-ac", "6"), "webm", "becomes opus 5.1"),
        ("vob", ("-c:a", "pcm_dvd", "-ac", "2"), "mov", "becomes pcm_s24le stereo"),
        ("m2ts", ("-c:a", "pcm_bluray", "-ac", "2"), "mkv", "becomes pcm_s24le stereo"),
        ("mp4", ("-c:a", "aac"), "mp4", ""),
    ],
)
def test_what_a_container_does_not_hold_is_told_and_encoded(
    make: Make, tmp_path: Path, suffix: str, options: tuple[str, ...], container: str, said: str
) -> None:
    driver = make(f"d.{suffix}", *options, video=PICTURE, audio=CLICK)
    notices = list(sound_notices(driver, container))  # type: ignore[arg-type]
    assert len(notices) == bool(said)
    assert all(said in notice for notice in notices), notices
    out, sound, drift = remade(tmp_path, driver, container)
    assert sound.is_copied(container) == (not said)  # type: ignore[arg-type]
    assert (drift.sound_missing_ms, drift.sound_fault) == (0, "")
    before, after = clicks_s(driver), clicks_s(out)
    assert after == pytest.approx(before, abs=0.0016 + opus_error_s(container))


def test_silent_videos_say_nothing(make: Make) -> None:
    assert list(sound_notices(make("s.mp4", video=PICTURE), "webm")) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 128 kb/s (default)",
         ("aac", 44100, "stereo", "fltp")),
        ("pcm_s24le ([1][0][0][0] / 0x0001), 48000 Hz, 4 channels, s32 (24 bit), 4608 kb/s",
         ("pcm_s24le", 48000, "4 channels", "s32")),
        ("none (apac / 0x63617061), 48000 Hz, ambisonic 1", ("none", 48000, "ambisonic 1", "")),
        ("ac3 ([129][0][0][0] / 0x0081), 48000 Hz, 5.1(side), fltp, 448 kb/s",
         ("ac3", 48000, "5.1(side)", "fltp")),
        ("ac4", ("ac4", 0, "", "")),
    ],
)  # fmt: skip
def test_a_line_on_a_sound_is_read(line: str, said: tuple[object, ...]) -> None:
    stream = parse_audio_line(0, f"[info]   Stream #0:1[0x2](und): Audio: {line}")
    assert (stream.codec, stream.rate, stream.layout, stream.sample_format) == said


def test_channels_that_have_no_place_are_all_heard(make: Make, tmp_path: Path) -> None:
    many = tmp_path / "d.mov"
    picture = make("p.mp4", video=PICTURE)
    channels = "|".join(f"0.7*between(t,0.{c},0.{c}02)*sin(9000*t)" for c in (1, 3, 5))
    silent = "|0" * 10
    ffmpeg("-i", picture, "-f", "lavfi", "-i", f"aevalsrc='{channels}{silent}':s=48000:d=1",
           "-c:v", "copy", "-c:a", "pcm_s16le", many)  # fmt: skip
    assert audio_streams(many)[0].layout == "13 channels"
    _, _, drift = remade(tmp_path, many, "mp4")
    assert (drift.sound_missing_ms, drift.sound_fault) == (0, "")
