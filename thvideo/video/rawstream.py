"""A minimal Matroska stream of raw RGB frames: how frames reach ffmpeg with their exact times.

A pipe of plain raw video can carry one constant rate only. Matroska blocks carry a time and a
duration each, here in nanoseconds, which round to the right tick of any time base down to 1 us.
Element names are those of RFC 9559.
"""

from collections.abc import Iterator
from fractions import Fraction

from thvideo.shapes import U8Array
from thvideo.video.timing import FrameTimes

_NS_PER_S = 10**9
_EBML, _DOC_TYPE = b"\x1a\x45\xdf\xa3", b"\x42\x82"
_SEGMENT, _INFO, _TIMESTAMP_SCALE = b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x2a\xd7\xb1"
_TRACKS, _TRACK_ENTRY, _TRACK_NUMBER = b"\x16\x54\xae\x6b", b"\xae", b"\xd7"
_TRACK_UID, _TRACK_TYPE, _CODEC_ID = b"\x73\xc5", b"\x83", b"\x86"
_DEFAULT_DURATION, _VIDEO, _PIXEL_WIDTH = b"\x23\xe3\x83", b"\xe0", b"\xb0"
_PIXEL_HEIGHT, _UNCOMPRESSED_FOURCC = b"\xba", b"\x2e\xb5\x24"
_CLUSTER, _TIMESTAMP, _BLOCK_GROUP = b"\x1f\x43\xb6\x75", b"\xe7", b"\xa0"
_BLOCK, _BLOCK_DURATION = b"\xa1", b"\x9b"
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_IS_VIDEO = 1
# Track 1, time relative to the cluster 0, no flags.
_BLOCK_HEAD = b"\x81\x00\x00\x00"


def stream_head(size: tuple[int, int], rate: Fraction) -> bytes:
    """Return what comes before the first frame.

    Args:
        size: (height, width) of every frame.
        rate: Average frames per second; a hint for the encoder's rate control only.
    """
    video = _element(_PIXEL_WIDTH, _number(size[1])) + _element(_PIXEL_HEIGHT, _number(size[0]))
    video += _element(_UNCOMPRESSED_FOURCC, b"RGB\x18")
    track = b"".join(
        _element(name, value)
        for name, value in (
            (_TRACK_NUMBER, _number(1)),
            (_TRACK_UID, _number(1)),
            (_TRACK_TYPE, _number(_IS_VIDEO)),
            (_DEFAULT_DURATION, _number(max(1, round(_NS_PER_S / rate)))),
            (_CODEC_ID, b"V_UNCOMPRESSED"),
            (_VIDEO, video),
        )
    )
    return (
        _element(_EBML, _element(_DOC_TYPE, b"matroska"))
        + _SEGMENT
        + _UNKNOWN_SIZE
        + _element(_INFO, _element(_TIMESTAMP_SCALE, _number(1)))
        + _element(_TRACKS, _element(_TRACK_ENTRY, track))
    )


def stream_frame(frame: U8Array, start: Fraction, end: Fraction) -> Iterator[memoryview]:
    """Yield the bytes of one frame; its pixels are not copied if they are contiguous.

    Args:
        frame: The picture ``[H, W, 3]``.
        start: When it appears, seconds from the stream's start.
        end: When it disappears.
    """
    start_ns, end_ns = round(start * _NS_PER_S), round(end * _NS_PER_S)
    tail = _element(_BLOCK_DURATION, _number(end_ns - start_ns))
    block = _BLOCK + _size(len(_BLOCK_HEAD) + frame.nbytes) + _BLOCK_HEAD
    group = _BLOCK_GROUP + _size(len(block) + frame.nbytes + len(tail))
    time = _element(_TIMESTAMP, _number(start_ns))
    cluster_size = len(time) + len(group) + len(block) + frame.nbytes + len(tail)
    yield memoryview(_CLUSTER + _size(cluster_size) + time + group + block)
    pixels = frame if frame.flags.c_contiguous else frame.copy()
    yield pixels.reshape(-1).data
    yield memoryview(tail)


def frame_span(times: FrameTimes, index: int, first: int) -> tuple[Fraction, Fraction]:
    """Return start and end of frame ``index`` in seconds after frame ``first``."""
    zero = times.at(first)
    return times.at(index) - zero, times.at(index + 1) - zero


def _element(name: bytes, value: bytes) -> bytes:
    return name + _size(len(value)) + value


def _size(count: int) -> bytes:
    """Return a size in EBML's eight-byte form."""
    return (count | 1 << 56).to_bytes(8, "big")


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
