"""Array types, the shape check used where data enters a package, and how large pictures may be."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

U8Array = NDArray[np.uint8]
I16Array = NDArray[np.int16]
F32Array = NDArray[np.float32]
F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Pixels of a picture or a frame, upright and square: what has more is not read.
MAX_PIXELS = 100_000_000
#: What is longer on its longer side is reduced to it.
MAX_SIDE_PX = 4096
#: Frames that are at hand together take about so much memory.
BATCH_BYTES = 32 << 20


def frames_at_once(size: tuple[int, int], most: int) -> int:
    """Return how many frames of (height, width) make a batch: at most so many, at least one."""
    return max(1, min(most, BATCH_BYTES // (size[0] * size[1] * 3)))


def reduced(size: tuple[int, int], max_side_px: int = MAX_SIDE_PX) -> tuple[int, int]:
    """Return (height, width) of a picture whose longer side is no longer than allowed."""
    share = min(1.0, max_side_px / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


class _Shaped(Protocol):
    @property
    def shape(self) -> Any: ...


def check_shape(array: _Shaped, spec: str, **known: int) -> dict[str, int]:
    """Check an array or tensor against a shape such as ``"T 70 2"``.

    Args:
        array: Anything with a ``shape``.
        spec: Sizes separated by spaces: a number must match, a letter is bound on first use
            and must match afterwards, ``_`` matches anything.
        **known: Letters that are bound already.

    Returns:
        The size bound to every letter.

    Raises:
        ValueError: The shape does not fit.
    """
    shape = tuple(int(size) for size in array.shape)
    names = spec.split()
    bound = dict(known)
    fits = len(shape) == len(names)
    if fits:
        for name, size in zip(names, shape, strict=True):
            if name == "_":
                continue
            wanted = int(name) if name.isdigit() else bound.setdefault(name, size)
            fits = fits and wanted == size
    if not fits:
        wanted_text = " ".join(f"{n}={known[n]}" if n in known else n for n in names)
        raise ValueError(f"expected shape [{wanted_text}], got {list(shape)}")
    return bound
