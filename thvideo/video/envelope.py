"""How loud a sound is at each moment, and how two such courses differ: what is late or missing."""

import math
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader, RawIOBase
from typing import cast

import numpy as np

from thvideo.shapes import F64Array
from thvideo.video.audio import Sound, heard_between
from thvideo.video.ffmpeg import arguments, running

# One value of an envelope for each millisecond, from so many samples of two channels.
_RATE = 8000
_SAMPLES = _RATE // 1000
_BLOCK_MS = 10_000
# Pieces of this length are looked for up to so far away.
_PIECE_MS, _REACH_MS = 2000, 1000
# Of waveforms an envelope has only what is slower than a period of the deepest voice.
_SMOOTH = np.hanning(11)[1:-1] / np.hanning(11).sum()
# A piece whose loudness hardly changes is found everywhere; one that is another sound, nowhere.
_LEAST_CHANGE, _LEAST_LIKENESS = 0.1, 0.5
# Speech whose course is found nowhere has become another sound: bytes in the wrong order hiss.
_MUCH_CHANGE, _OTHER = 0.5, 0.25
# Among places that are as like, the nearest is meant: tones repeat themselves.
_NEARNESS = 0.02
# Missing is what can be heard (-60 dB of full scale, -34 dB of the loudest) and is 20 dB too low.
_GRAIN_MS = 10
_SILENCE, _SOFTEST, _GONE = 1e-3, 0.02, 0.1


@dataclass(frozen=True)
class SoundErrors:
    """How one sound differs from another; milliseconds, positive is late.

    Args:
        offset_ms: Of the first piece that can be placed.
        end_ms: Of the last one.
        shift_ms: The largest of all pieces.
        missing_ms: How long nothing, or another sound, is heard where the other sounds.
    """

    offset_ms: float
    end_ms: float
    shift_ms: float
    missing_ms: float


def envelope(sound: Sound, duration: Fraction) -> F64Array:
    """Return how loud a sound is in each millisecond of a video ``[N]``, 1 is full scale.

    It is decoded once and never held as a whole.

    Args:
        sound: The sound, on the video's clock.
        duration: The video's length in seconds.
    """
    stream = heard_between(sound, duration, osr=_RATE).filter("aformat", channel_layouts="stereo")
    args = arguments(stream.output("pipe:1", format="s16le", max_error_rate=1))
    n_ms = math.ceil(duration * 1000)
    pieces: list[F64Array] = []
    with running(args, reads=True) as child:
        assert child.process.stdout is not None  # reads=True makes the pipe
        pipe = BufferedReader(cast(RawIOBase, child.process.stdout))
        while block := pipe.read(_BLOCK_MS * _SAMPLES * 4):
            samples = np.frombuffer(block[: len(block) // 4 * 4], "<i2")
            # Both channels, because one that is the other's reverse is silent in their sum.
            loudness = np.abs(samples.reshape(-1, 2).astype(np.float64)).mean(1) / 32768
            whole = np.append(loudness, np.zeros(-len(loudness) % _SAMPLES))
            pieces.append(whole.reshape(-1, _SAMPLES).mean(1))
    found = np.concatenate([np.zeros(0), *pieces])[:n_ms]
    return np.append(found, np.zeros(n_ms - len(found)))


def compare_envelopes(wanted: F64Array, found: F64Array) -> SoundErrors | None:
    """Tell where and how far a sound differs from what it should be.

    Args:
        wanted: Its envelope as it should be ``[N]``.
        found: Its envelope as it is ``[N]``.

    Returns:
        The errors; None if ``wanted`` is silent throughout.
    """
    is_heard = wanted > max(_SILENCE, _SOFTEST * float(np.percentile(wanted, 99)))
    if not is_heard.any():
        return None
    shifts_ms = _shifts_ms(wanted, found)
    placed = [shift for shift in shifts_ms if math.isfinite(shift)] or [0.0]
    n_other = len(shifts_ms) - sum(map(math.isfinite, shifts_ms))
    missing_ms = _missing_ms(wanted, found) + n_other * _PIECE_MS
    return SoundErrors(placed[0], placed[-1], max(placed, key=abs), missing_ms)


def _missing_ms(wanted: F64Array, found: F64Array) -> float:
    grains, there = _grains(wanted), _grains(found)
    # Codecs smear what is sudden into the grains beside it.
    nearby = np.max([there, np.append(there[1:], 0), np.append(0, there[:-1])], axis=0)
    is_heard = grains > max(_SILENCE, _SOFTEST * float(np.percentile(grains, 99)))
    return float((is_heard & (nearby < _GONE * grains)).sum() * _GRAIN_MS)


def _grains(envelope: F64Array) -> F64Array:
    whole = np.append(envelope, np.zeros(-len(envelope) % _GRAIN_MS))
    return np.asarray(whole.reshape(-1, _GRAIN_MS).mean(1))


def _shifts_ms(wanted: F64Array, found: F64Array) -> list[float]:
    """Return by how much each piece is late that tells its place; NaN where it is nowhere."""
    # Silence before and after: where a sound begins and ends is heard too.
    before, after = np.zeros(_REACH_MS + _PIECE_MS // 4), np.zeros(_PIECE_MS + _REACH_MS)
    wanted, found = (
        np.convolve(np.concatenate([before, course, after]), _SMOOTH, "same")
        for course in (wanted, found)
    )
    shifts = (
        _shift_ms(wanted[start : start + _PIECE_MS], found[start - _REACH_MS : start + len(after)])
        for start in range(_REACH_MS, len(wanted) - len(after), _PIECE_MS)
    )
    return [shift for shift in shifts if shift is not None]


def _shift_ms(piece: F64Array, around: F64Array) -> float | None:
    """Return where a piece is found, 0 in the middle of ``around``.

    NaN where another sound is found in its place; None where it cannot be told.
    """
    n, mean = len(piece), float(piece.mean())
    changes = piece - mean
    energy = float(changes @ changes)
    if piece.max() < _SILENCE or energy < n * (_LEAST_CHANGE * mean) ** 2:
        return None
    size = len(around) + n
    products = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(changes, size)), size)
    n_places = len(around) - n + 1
    sums = np.cumsum(np.append(0, around))
    squares = np.cumsum(np.append(0, around**2))
    local = (squares[n:] - squares[:-n]) - (sums[n:] - sums[:-n]) ** 2 / n
    likeness = products[:n_places] / np.sqrt(energy * np.maximum(local, 1e-3 * energy))
    away = np.abs(np.arange(n_places) - _REACH_MS) / _REACH_MS
    best = int(np.argmax(likeness - _NEARNESS * away))
    if likeness[best] < _LEAST_LIKENESS:
        is_other = likeness[best] < _OTHER and energy > n * (_MUCH_CHANGE * mean) ** 2
        return math.nan if is_other else None
    return best + _peak(likeness[best - 1 : best + 2]) - _REACH_MS


def _peak(around: F64Array) -> float:
    """Return where the parabola through three values is highest, 0 at the second."""
    if len(around) < 3:
        return 0.0
    curve = around[0] - 2 * around[1] + around[2]
    return float((around[0] - around[2]) / (2 * curve)) if curve < 0 else 0.0
