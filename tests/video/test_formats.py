"""A walk over the table of sounds: every codec, rate and layout goes into every container.

Of each codec one file is made with a stream for each rate and layout that ffmpeg encodes. All of
its streams go into each container as the table says, copied or encoded, and are decoded again.
"""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import ffmpeg as graph
import numpy as np
import pytest

from tests.video.made_videos import ffmpeg
from thvideo.video.audio import Sound, sound_output
from thvideo.video.drift import read_shown
from thvideo.video.ffmpeg import arguments, available, run_ffmpeg, seconds_text
from thvideo.video.formats import Container, encoding, holds
from thvideo.video.streams import AudioStream, audio_streams, heard_stream
from thvideo.video.timing import FrameTimes

CONTAINERS: tuple[Container, ...] = ("mp4", "mov", "mkv", "webm")
FORMATS = {"mkv": "matroska"}
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
LAYOUTS = (
    *("mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0"),
    *("5.0(side)", "4.1", "5.1", "5.1(side)", "6.0", "6.1", "7.0", "7.1", "7.1(wide)"),
)
FEW = ("mono", "stereo", "quad", "5.1(side)")
TIMES = FrameTimes.constant(Fraction(25), 10)
# The tone sounds from 0.1 s to 0.3 s of 0.4 s, in all channels alike.
TONE = "aevalsrc='0.3*sin(2*PI*600*t)*between(t,0.1,0.3)':s=48000:d=0.4"
TONE_SPAN_S = (0.1, 0.3)
TOLERANCE_S = 0.012


class Kind(NamedTuple):
    """A codec that ffmpeg can make: its encoder, and what the encoder takes."""

    encoder: str
    rates: tuple[int, ...] = RATES
    layouts: tuple[str, ...] = FEW

    def streams(self) -> list[tuple[str, int, str]]:
        """Return encoder, rate and layout: every rate in few channels, every layout once."""
        main = 48_000 if 48_000 in self.rates else self.rates[-1]
        few = "stereo" if "stereo" in self.layouts else "mono"
        pairs = [(rate, few) for rate in self.rates] + [(main, layout) for layout in self.layouts]
        return [(self.encoder, *pair) for pair in dict.fromkeys(pairs)]


DOLBY = tuple(rate for rate in RATES if 32_000 <= rate <= 48_000)
MPEG = tuple(rate for rate in RATES if 16_000 <= rate <= 48_000)
UP_TO_48 = tuple(rate for rate in RATES if rate <= 48_000)
UP_TO_TWO = ("mono", "stereo")
XIPH = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
# What is made together lies in one file, as containers that people have it in.
SHELVES: dict[str, list[Kind]] = {
    "aac.mp4": [Kind("aac", layouts=LAYOUTS)],
    "discs.mkv": [
        Kind("ac3", DOLBY, LAYOUTS),
        Kind("eac3", DOLBY, LAYOUTS),
        Kind("dca", (22050, 24000, 32000, 44100, 48000), ("mono", "stereo", "5.1(side)")),
        Kind("truehd", (44100, 48000, 96000), ("stereo", "5.1(side)")),
        Kind("mp2", MPEG, UP_TO_TWO),
        Kind("libmp3lame", UP_TO_48, UP_TO_TWO),
    ],
    "lossless.mkv": [Kind("flac", layouts=LAYOUTS), Kind("wavpack", layouts=LAYOUTS)],
    "open.mkv": [
        Kind("libopus", (8000, 12000, 16000, 24000, 48000), XIPH),
        Kind("libvorbis", layouts=XIPH),
    ],
    "apple.mov": [
        Kind("alac", layouts=LAYOUTS),
        *(Kind(f"pcm_{name}", (48000,), LAYOUTS) for name in ("s16le", "s24be")),
        *(Kind(f"pcm_{name}", (8000,), ("stereo", "quad")) for name in
          ("s16be", "s24le", "s32le", "s32be", "f32le", "f32be", "f64le", "f64be", "u8", "s8",
           "alaw", "mulaw")),
    ],
    "rare.nut": [
        *(Kind(f"pcm_{name}", (48000,), ("mono", "stereo", "quad")) for name in
          ("s64le", "u16le", "u16be", "u24le", "s16be_planar", "s8_planar")),
        *(Kind(name, (44100,), UP_TO_TWO) for name in
          ("adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha")),
        Kind("g722", (16000,), ("mono",)),
        Kind("libopencore_amrnb", (8000,), ("mono",)),
    ],
    "windows.asf": [Kind(name, (22050, 44100), UP_TO_TWO) for name in ("wmav1", "wmav2")],
    "flash.flv": [Kind("nellymoser", (44100,), ("mono",))],
    "blu-ray.ts": [
        Kind("pcm_bluray", (48000, 96000), ("mono", "stereo", "4.0", "5.1", "7.1")),
        Kind("s302m", (48000,), ("stereo",)),
    ],
    "dvd.vob": [Kind("pcm_dvd", (48000,), UP_TO_TWO)],
}  # fmt: skip


def make_source(path: Path, kinds: list[Kind]) -> None:
    """Write a file with a stream for each codec, rate and layout."""
    made = [stream for kind in kinds for stream in kind.streams()]
    made = [stream for stream in made if stream[0] in available("encoders")]
    if not made:
        pytest.skip("this ffmpeg has no encoder for these")
    split = graph.input(TONE, f="lavfi").filter_multi_output("asplit", len(made))
    streams, options = [], {"strict": -2}
    for i, (encoder, rate, layout) in enumerate(made):
        channels = split[i].filter("aformat", sample_rates=rate, channel_layouts=layout)
        streams.append(channels)
        options[f"c:a:{i}"] = encoder
    run_ffmpeg(arguments(graph.output(*streams, str(path), **options)))


def put_into(
    source: Path, streams: list[AudioStream], zero: Fraction, out: Path, container: Container
) -> None:
    """Put each stream into a container as ``join`` does one."""
    outputs, options = [], {}
    for i, stream in enumerate(streams):
        sound = Sound(source, stream, zero, Fraction(0), Fraction(2, 5), Fraction(0))
        output, chosen = sound_output(sound, TIMES, container)
        outputs.append(output)
        options |= {f"{name}:{i}" if ":" in name else name: value for name, value in chosen.items()}
    name = FORMATS.get(container, container)
    # A picture tells where time 0 is: containers move all streams if one begins before it.
    picture = graph.input("testsrc2=s=64x48:r=25:d=0.4", f="lavfi")["v"]
    options |= {"c:v": "libvpx-vp9" if container == "webm" else "libx264", "bf": 0}
    options |= {"deadline": "realtime"} if container == "webm" else {}
    run_ffmpeg(arguments(graph.output(picture, *outputs, str(out), format=name, **options)))


def tone_spans_s(
    path: Path, n_streams: int, folder: Path, zero: Fraction
) -> list[tuple[float, float]]:
    """Decode every stream, and return when its tone begins and ends after ``zero``."""
    args: list[object] = ["-copyts", "-itsoffset", seconds_text(-zero), "-i", path]
    for i in range(n_streams):
        args += ["-map", f"0:a:{i}", "-af", "aresample=8000:async=1:first_pts=0"]
        args += ["-ac", 1, "-f", "f32le", folder / f"{i}.raw"]
    ffmpeg(*args)
    return [span_s(np.fromfile(folder / f"{i}.raw", np.float32)) for i in range(n_streams)]


def span_s(samples: np.ndarray) -> tuple[float, float]:
    """Return when the tone begins and ends in samples at 8 kHz."""
    loudness = np.abs(samples[: len(samples) // 8 * 8].reshape(-1, 8)).mean(1)
    if len(loudness) == 0 or loudness.max() < 0.02:
        return 0.0, 0.0
    loud = np.flatnonzero(loudness > 0.3 * loudness.max())
    return float(loud[0]) / 1000, float(loud[-1] + 1) / 1000


@pytest.mark.parametrize("shelf", SHELVES)
def test_every_sound_comes_out_of_every_container_as_it_went_in(shelf: str, tmp_path: Path) -> None:
    source = tmp_path / shelf
    make_source(source, SHELVES[shelf])
    streams = audio_streams(source)
    found = heard_stream(source)
    assert found is not None
    # What an encoder puts before the first sample is not told in every container.
    went_in = tone_spans_s(source, len(streams), tmp_path, found[1])
    assert np.abs(np.subtract(went_in, TONE_SPAN_S)).max() < 0.1
    wrong = []
    for container in CONTAINERS:
        out = tmp_path / f"out.{container}"
        put_into(source, streams, found[1], out, container)
        written = audio_streams(out)
        assert len(written) == len(streams)
        spans = tone_spans_s(out, len(streams), tmp_path, read_shown(out).start)
        for stream, now, span, before in zip(streams, written, spans, went_in, strict=True):
            is_held = holds(container, stream)
            wanted = stream if is_held else encoding(container, stream)
            if (now.codec, now.layout) != (wanted.codec, wanted.layout) or (
                np.abs(np.subtract(span, before)).max() > TOLERANCE_S
            ):
                wrong.append(f"{stream} in {container}: {now}, heard {span}")
    assert not wrong, "\n".join(wrong)
