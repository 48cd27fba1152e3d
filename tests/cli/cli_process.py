"""How tests start the command line in a process of its own."""

import os
from pathlib import Path

#: Set by the tests themselves, for all of them.
_OURS = ("THVIDEO_PRECISION", "THVIDEO_CACHE")

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds thvideo, without the person's own settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("THVIDEO_") or name in _OURS
    }
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)} | more
