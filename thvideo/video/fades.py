"""Find gradual transitions between shots in a stream of small frames: dissolves, fades, wipes.

On the way from one shot to another every frame is a mixture of what was before and what comes
after. Motion, a pan or a zoom shows other things between.
"""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from thvideo.shapes import F32Array, U8Array

#: Transitions of up to so many frames are looked for, by windows of these lengths.
WINDOWS = (8, 12, 16, 24, 32, 48, 64)
# Windows end at every so many frames, and long ones at every eighth of their length.
_STEP = 2
# A window's ends look so different (root mean square of colours 0 to 1), and what they show is
# so little alike (correlation), that they are two shots and not one under another light.
_LEAST_CHANGE, _MOST_ALIKE = 0.07, 0.75
# An end without anything to see, such as black: its colours deviate by less than this.
_FLAT = 0.02
# Of the change from end to end, what is no mixture: root mean square in a dissolve, in which all
# of the picture changes at the same time, and in a wipe, where every place changes at its own.
_NO_DISSOLVE, _NO_WIPE = 0.3, 0.25
_BACK = 0.15
# All but at once: hard cuts are found otherwise, and where they are not it was something else.
_JUMP = 0.7
# A fade through black or white leaves less than this share of the contrast in its middle.
_DIP = 0.25
# A wipe leaves less than this share of the picture as it was.
_WIPED = 0.6
# Shots stay before and after, for a quarter of the window: they change there by less than this
# share of the change from end to end, and what goes on evenly by a quarter.
_STAY_FRAMES, _STAY = 4, 0.23
_HELD = WINDOWS[-1] + 1 + WINDOWS[-1] // 2


@dataclass
class FadeFinder:
    """Feed all frames in order with ``add``.

    ``cuts`` are the frames from which on the later shot is seen more than the earlier.
    """

    cuts: list[int] = field(default_factory=list)
    _looks: deque[F32Array] = field(default_factory=lambda: deque(maxlen=_HELD))
    _frames: deque[U8Array] = field(default_factory=lambda: deque(maxlen=_HELD))
    _next: int = 0

    def add(self, frame: U8Array, look: F32Array, shot: int) -> None:
        """Take the next frame.

        Args:
            frame: ``[H, W, 3]`` small.
            look: The same blurred, colours 0 to 1 ``[h, w, 3]``.
            shot: First frame of the shot it belongs to, as far as hard cuts go.
        """
        self._frames.append(frame)
        self._looks.append(look)
        self._next += 1
        shot = max([shot, *self.cuts[-1:]])
        for length in WINDOWS:
            n_needed = length + 1 + 2 * _stay(length)
            if n_needed > min(len(self._looks), self._next - shot):
                return
            if self._next % max(_STEP, length // 8) == 0 and self._is_suspected(length):
                first = self._next - n_needed + _stay(length)
                place = self._crossing(length)
                if place is not None:
                    self.cuts.append(first + place)
                    return

    def _is_suspected(self, length: int) -> bool:
        """Say whether the ends of the last window are two shots, each of which stays."""
        last = len(self._looks) - 1 - _stay(length)
        before, after = self._looks[last - length], self._looks[last]
        change = _rms(after - before)
        if change < _LEAST_CHANGE:
            return False
        earlier, later = self._looks[last - length - _stay(length)], self._looks[-1]
        stays = max(_rms(before - earlier), _rms(later - after)) < _STAY * change
        return stays and _alike(before, after) < _MOST_ALIKE

    def _crossing(self, length: int) -> int | None:
        """Return after how many frames of the last window the later shot prevails."""
        last = len(self._frames) - 1 - _stay(length)
        frames = np.stack([self._frames[last - length + i] for i in range(length + 1)])
        seen = _halved(frames) / np.float32(255)
        # Through black or white: the frame that shows least parts it in two.
        dip = int(np.argmin(np.std(seen, axis=(1, 2)).mean(axis=-1)))
        depth = [float(np.std(seen[i], axis=(0, 1)).mean()) for i in (0, dip, -1)]
        if 2 <= dip <= length - 2 and depth[1] < _DIP * min(depth[0], depth[2]):
            both = crossing(seen[: dip + 1]), crossing(seen[dip:])
            return None if None in both else dip
        return crossing(seen)


def _stay(length: int) -> int:
    return max(_STAY_FRAMES, length // 4)


def _halved(frames: U8Array) -> F32Array:
    """Return frames ``[N, H, W, 3]`` at half the size: noise is less, and things keep apart."""
    n_frames, height, width, _ = frames.shape
    cells = frames.reshape(n_frames, height // 2, 2, width // 2, 2, 3).astype(np.float32)
    return np.asarray(cells.mean(axis=(2, 4)), np.float32)


def crossing(frames: F32Array) -> int | None:
    """Return the first frame that is past the middle, if all are mixtures of the first and last.

    Args:
        frames: ``[N, h, w, 3]`` colours 0 to 1.
    """
    inner, way = frames[1:-1] - frames[0], frames[-1] - frames[0]
    change = _rms(way)
    share = (inner * way).mean(axis=(1, 2, 3)) / change**2
    steps = np.diff(share, prepend=0, append=1)
    # Shots move a little meanwhile, but a mixture that goes back is none; nor is a jump.
    if steps.min() < -_BACK or steps.max() > _JUMP:
        return None
    rest = inner - share[:, None, None, None] * way
    if max(map(_rms, rest)) > _NO_DISSOLVE * change and not _is_wipe(inner, way, change):
        return None
    past = np.flatnonzero(share > 0.5)
    return 1 + int(past[0]) if len(past) else len(frames) - 1


def _is_wipe(inner: F32Array, way: F32Array, change: float) -> bool:
    """Say whether every place goes once from what it was to what it becomes."""
    size = (way * way).sum(axis=-1)
    if (size > 3 * (0.3 * change) ** 2).mean() < _WIPED:
        return False
    own = np.clip((inner * way).sum(axis=-1) / np.maximum(size, 1e-6), 0, 1)
    if max(map(_rms, inner - own[..., None] * way)) > _NO_WIPE * change:
        return False
    back = -np.minimum(np.diff(own, axis=0), 0).sum(axis=0)
    return float(back.mean()) < _BACK


def _rms(values: F32Array) -> float:
    flat = values.reshape(-1)
    return math.sqrt(float(flat @ flat) / flat.size)


def _alike(first: F32Array, second: F32Array) -> float:
    """Return the correlation of two looks; -1 where one of them shows nothing."""
    a, b = (look - look.mean(axis=(0, 1)) for look in (first, second))
    size_a, size_b = _rms(a), _rms(b)
    if min(size_a, size_b) < _FLAT:
        return -1.0
    return float(np.mean(a * b)) / (size_a * size_b)
