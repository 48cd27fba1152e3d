"""How tests start the command line in a process of its own."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds thvideo, without the person's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("THVIDEO_")}
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)} | more
