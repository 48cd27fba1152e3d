"""Numbers as a person reads them."""

import math

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """Write a length of time: ``0.4 s``, ``38 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Write time left as ``0:09`` or ``1:02:05``, so that its width stays put."""
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"


def size(n_bytes: float) -> str:
    """Write a size in decimal units with two or three digits: ``0 B``, ``4.2 MB``, ``318 GB``."""
    value = float(n_bytes)
    for unit in _BYTE_UNITS:
        if value < 999.5 or unit == _BYTE_UNITS[-1]:
            break
        value /= 1000
    if unit == "B" or value >= 9.95:
        return f"{value:.0f} {unit}"
    return f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """Write a count and its noun: ``1 frame``, ``12 400 frames``; give the noun in the plural."""
    singular = noun.removesuffix("s") if number == 1 else noun
    return f"{number:,}".replace(",", " ") + f" {singular}"


def rate(per_second: float, noun: str = "frames") -> str:
    """Write a speed: ``0.42 frames/s``, ``7.1 frames/s``, ``240 frames/s``."""
    if per_second >= 9.95:
        return f"{per_second:.0f} {noun}/s"
    if per_second >= 0.995:
        return f"{per_second:.1f} {noun}/s"
    return f"{per_second:.2f} {noun}/s"


def age(seconds: float) -> str:
    """Write how long ago something was: ``just now``, ``5 min ago``, ``3 days ago``."""
    if seconds < 60:
        return "just now"
    for limit, unit_s, unit in ((3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit_s:.0f} {unit} ago"
    return f"{count(int(seconds // 86400), 'days')} ago"
