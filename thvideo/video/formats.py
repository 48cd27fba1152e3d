"""The sound that each container holds, and what it is encoded as where the container does not.

The table is whether players get out what went in: ffmpeg writes some sound into some containers
that nothing, itself included, reads again or hears in the right places.
"""

import re
from dataclasses import dataclass
from typing import Literal

from thvideo.video.streams import AudioStream

Container = Literal["mp4", "mov", "mkv", "webm", "gif"]

_ANY = range(1, 1_000_000)


@dataclass(frozen=True)
class Held:
    """What a container holds of a codec.

    Args:
        rates: Samples per second.
        layouts: ffmpeg's names of channel layouts; None for all.
    """

    rates: range = _ANY
    layouts: frozenset[str] | None = None


_ALL = Held()
# Channels that have no names keep none.
_PLAIN = frozenset({"mono", "stereo", *(f"{n} channels" for n in range(1, 65))})
# Of PCM, mkv tells how many channels there are, but not which: readers take the usual ones.
_COUNTED = Held(layouts=_PLAIN | {"5.1", "7.1"})
# What FLAC itself means by a number of channels; mp4 drops the note that tells of others.
_OF_FLAC = Held(layouts=_PLAIN | {"3.0", "quad", "5.1(side)", "7.1"})
# ISO/IEC 14496-3 has MPEG-1 and MPEG-2 layer 3, but not "MPEG-2.5" below 16 kHz.
_MPEG2_RATES = Held(rates=range(16_000, 48_001))
_PCM = (
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s16be", "pcm_s24be", "pcm_s32be"),
    *("pcm_f32le", "pcm_f64le", "pcm_u8", "pcm_alaw", "pcm_mulaw"),
)

HELD: dict[Container, dict[str, Held]] = {
    "mp4": {
        **dict.fromkeys(("aac", "ac3", "eac3", "alac", "opus"), _ALL),
        "flac": _OF_FLAC,
        "mp3": _MPEG2_RATES,
    },
    "mov": dict.fromkeys(
        ("aac", "ac3", "eac3", "alac", "mp3", *_PCM, "pcm_f32be", "pcm_f64be"), _ALL
    ),
    "mkv": {
        **dict.fromkeys(("aac", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "alac"), _ALL),
        **dict.fromkeys(("opus", "vorbis", "flac", "wavpack"), _ALL),
        **dict.fromkeys(_PCM, _COUNTED),
    },
    "webm": dict.fromkeys(("opus", "vorbis"), _ALL),
    "gif": {},
}


@dataclass(frozen=True)
class AudioEncoding:
    """How sound is encoded.

    Args:
        codec: The codec's name.
        encoder: ffmpeg's encoder.
        layout: The channels it gets.
        bit_rate: Bits per second; 0 where nothing is lost.
    """

    codec: str
    encoder: str
    layout: str
    bit_rate: int = 0

    @property
    def options(self) -> dict[str, str | int]:
        """The output options that ffmpeg takes."""
        return {"c:a": self.encoder} | ({"b:a": self.bit_rate} if self.bit_rate else {})


def holds(container: Container, stream: AudioStream) -> bool:
    """Whether the container takes the sound as it is, and gives it back."""
    held = HELD[container].get(stream.codec)
    if held is None or stream.rate not in held.rates:
        return False
    return held.layouts is None or stream.layout in held.layouts


def encoding(container: Container, stream: AudioStream) -> AudioEncoding:
    """Return what becomes of sound that the container does not hold."""
    layout = _encoded_layout(stream.layout)
    if container == "webm":
        return AudioEncoding("opus", "libopus", layout, _bit_rate(layout, 160_000))
    is_plain = layout in ("mono", "stereo")
    if container in ("mov", "mkv") and stream.codec.startswith("pcm_") and is_plain:
        # What was never compressed stays so; 24 bits hold all but float's quietest.
        codec = "pcm_s16le" if stream.sample_format in ("u8", "s16", "s16p") else "pcm_s24le"
        return AudioEncoding(codec, codec, layout)
    return AudioEncoding("aac", "aac", layout, _bit_rate(layout, 192_000))


def _bit_rate(layout: str, stereo: int) -> int:
    return {"5.1": 2 * stereo, "7.1": 8 * stereo // 3}.get(layout, stereo)


def _encoded_layout(layout: str) -> str:
    """Return the layout that every encoder here has, and every player, and that loses least."""
    named = {"mono": "mono", "stereo": "stereo", "downmix": "stereo", "binaural": "stereo"}
    counted = re.match(r"(\d+) channels", layout)
    if counted:
        # Players take unnamed channels for the usual ones of that number.
        n = int(counted[1])
        return "mono" if n == 1 else "stereo" if n == 2 else "5.1" if n < 8 else "7.1"
    return named.get(layout) or ("7.1" if layout == "7.1" else "5.1")
