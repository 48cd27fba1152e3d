"""The kinds that facts may be of: a manifest is a file, and anybody may have written it."""

from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")

# Counts, sizes and times in JSON: what a float holds exactly.
_MOST = 1 << 53


def is_number(value: object) -> bool:
    """Tell whether a value is a count or a time: finite, and not below 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST


def of_kind(value: Any, kind: type[T]) -> T:
    """Return a JSON value as what it should be; a list as a tuple where that is asked for.

    Args:
        value: As JSON gives it.
        kind: ``str``, ``int`` and ``float`` (from 0), ``list[...]`` of one of them or
            ``tuple[...]`` of several, and these of each other.

    Raises:
        ValueError: It is of another kind.
    """
    origin: Any = get_origin(kind) or kind
    parts, made = get_args(kind), value
    if origin in (int, float):
        is_right = is_number(value) and (origin is float or isinstance(value, int))
    elif origin is str:
        is_right = isinstance(value, str)
    else:
        if origin is list:
            parts = parts * len(value) if isinstance(value, list) else ()
        is_right = isinstance(value, list) and len(value) == len(parts)
        if is_right:
            made = origin(map(of_kind, value, parts))
    if not is_right:
        raise ValueError(f"not {getattr(kind, '__name__', kind)}")
    return made
