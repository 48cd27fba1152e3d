"""Array types and the shape check used where data enters a package."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

U8Array = NDArray[np.uint8]
I16Array = NDArray[np.int16]
F32Array = NDArray[np.float32]
F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


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
