"""Whether what a file states fits the fields that it is read into."""

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def check_fields(made: Any) -> None:
    """Check that every field of a dataclass holds a value of its type, and so those in it.

    What is read from JSON holds whatever a person has written there.

    Raises:
        ValueError: A field does not; it is named.
    """
    kinds = get_type_hints(type(made))
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if not _fits(value, kinds[field.name]):
            raise ValueError(f"{field.name} cannot be {value!r}")
        if dataclasses.is_dataclass(value):
            check_fields(value)


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in inner
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[1:] == (...,):
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if isinstance(value, bool):
        return kind is bool
    # JSON writes 1.0 as it likes.
    return isinstance(value, int | float if kind is float else kind)
