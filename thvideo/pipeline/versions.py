"""Versions of the software that makes artifacts, kept in manifests and reports."""

import functools
import platform
import subprocess
from importlib import metadata

from thvideo.errors import ThvideoError

_PACKAGES = ("thvideo", "torch", "numpy", "opencv-python-headless")


@functools.cache
def _all_versions() -> tuple[tuple[str, str], ...]:
    found = {"python": platform.python_version()}
    found |= {package: version_of(package) for package in _PACKAGES}
    found["ffmpeg"] = _ffmpeg_version()
    return tuple(found.items())


def version_of(package: str) -> str:
    """Return the version of a package, or that it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """Return versions by name; nothing heavy is imported for it."""
    return dict(_all_versions())


def _ffmpeg_version() -> str:
    from thvideo.video.ffmpeg import ffmpeg_path

    try:
        said = subprocess.run(
            [str(ffmpeg_path()), "-version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (ThvideoError, OSError, subprocess.SubprocessError):
        return "not found"
    # The first line is "ffmpeg version 5.1.4-0+deb12u1 Copyright ...".
    words = said.split(maxsplit=3)
    return words[2] if len(words) > 2 else "unknown"
