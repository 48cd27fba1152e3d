"""What is told about a file before it is decoded."""

from fractions import Fraction
from pathlib import Path

import pytest

from tests.video.conftest import Make
from tests.video.made_videos import ffmpeg
from thvideo.errors import InputError
from thvideo.video.probe import VideoInfo, probe
from thvideo.video.streams import audio_streams

TINY = "testsrc2=s=64x48:r=25:d=0.2"


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "15", "2213/100"])
def test_the_time_base_counts_frames_of_the_rate_exactly(make: Make, rate: str) -> None:
    info = probe(make("a.mp4", "-r", rate, video=TINY))
    ticks = 1 / (Fraction(rate) * info.time_base)
    assert ticks.denominator == 1


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_phone_video_is_delivered_upright(make: Make, tmp_path: Path, turn: int) -> None:
    flat = make("flat.mp4", video=TINY)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", -turn, "-i", flat, "-c", "copy", turned)
    info = probe(turned)
    assert info.size == ((64, 48) if turn in (90, 270) else (48, 64))


@pytest.mark.parametrize(("sar", "size"), [("4/3", (48, 85)), ("3/4", (64, 64)), ("1/1", (48, 64))])
def test_pixels_become_square_without_losing_any(
    make: Make, sar: str, size: tuple[int, int]
) -> None:
    assert probe(make("a.mp4", "-vf", f"setsar={sar}", video=TINY)).size == size


def test_ten_bits_hdr_and_sound_are_told(make: Make) -> None:
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    options = ["-vf", f"format=yuv420p10le,{tags}", "-c:v", "libx264"]
    info = probe(make("a.mkv", *options, video=TINY, audio="sine=r=22050:d=0.2"))
    assert (info.bit_depth, info.matrix, info.primaries) == (10, "bt2020nc", "bt2020")
    assert info.is_hdr
    assert info.has_audio
    assert info.audio_rate in (22050, 48000)


def test_a_file_without_tags_is_read_as_players_read_it(make: Make) -> None:
    small = probe(make("small.mp4", video=TINY))
    large = probe(make("large.mp4", video="testsrc2=s=1280x720:d=0.04"))
    assert (small.matrix, large.matrix) == ("smpte170m", "bt709")
    assert small.color_range == "tv"


def test_info_survives_json(make: Make) -> None:
    info = probe(make("a.mp4", "-vf", "setsar=4/3", video=TINY))
    assert VideoInfo.from_json(info.to_json()) == info


def test_a_cover_picture_is_not_a_video(make: Make, tmp_path: Path) -> None:
    cover = make("cover.png", "-frames:v", 1, video=TINY)
    song = make("song.mp3", audio="sine=d=0.3")
    tagged = tmp_path / "tagged.mp3"
    ffmpeg("-i", song, "-i", cover, "-map", 0, "-map", 1, "-c", "copy", tagged)
    with pytest.raises(InputError, match="sound but no picture") as caught:
        probe(tagged)
    assert "--audio" in caught.value.hint


def test_a_cover_before_the_video_is_passed_over(make: Make, tmp_path: Path) -> None:
    cover = make("cover.png", "-frames:v", 1, video="testsrc2=s=32x32:d=0.04")
    clip = make("clip.mp4", video=TINY)
    both = tmp_path / "both.mp4"
    attach = ["-disposition:v:0", "attached_pic", "-disposition:v:1", "default"]
    ffmpeg("-i", cover, "-i", clip, "-map", 0, "-map", 1, "-c", "copy", *attach, both)
    assert probe(both).size == (48, 64)


@pytest.mark.parametrize(
    ("name", "data", "fact"),
    [
        ("empty.mp4", b"", "is empty"),
        ("words.mp4", b"these are words and no video\n" * 50, "is not a video"),
    ],
)
def test_what_is_no_video_is_an_input_error(
    tmp_path: Path, name: str, data: bytes, fact: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=fact) as caught:
        probe(path)
    assert str(path) in caught.value.fact
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a.txt", "a.nfo", "a.ans", "a.png", "a.srt", "a.yuv", "a.svg"])
def test_a_text_is_no_video_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nthese are words and no video\n" * 50)
    with pytest.raises(InputError, match=r"is not a video"):
        probe(path)
    with pytest.raises(InputError, match=r"is not sound"):
        audio_streams(path)


def test_a_video_is_one_whatever_its_name(make: Make, tmp_path: Path) -> None:
    clip = make("clip.mkv", video=TINY)
    for name in ("clip.txt", "clip.png", "clip", "clip.m3u8"):
        assert probe(clip.rename(tmp_path / name)).size == (48, 64)
        (tmp_path / name).rename(clip)


def test_words_are_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "words.mp3"
    path.write_text("these are words and no sound\n" * 50)
    with pytest.raises(InputError, match="is not sound that ffmpeg can read: Invalid") as caught:
        audio_streams(path)
    assert "wav" in caught.value.hint


def test_an_mp4_without_its_index_is_called_cut_off(make: Make, tmp_path: Path) -> None:
    whole = make("whole.mp4", video=TINY).read_bytes()
    part = tmp_path / "part.mp4"
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut off"):
        probe(part)


def test_a_playlist_opens_nothing(make: Make, tmp_path: Path) -> None:
    clip = make("clip.ts", video=TINY)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"playlist|not a video"):
        probe(playlist)
    concat = tmp_path / "list.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile '{clip.name}'\n")
    with pytest.raises(InputError, match=r"playlist|not a video"):
        probe(concat)
