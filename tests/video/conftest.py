"""The fixture that makes video files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.video.made_videos import ffmpeg

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes ``name`` from lavfi sources and ffmpeg options."""

    def make_file(name: str, *options: object, video: str = "", audio: str = "") -> Path:
        path = tmp_path / name
        inputs = []
        for source in (video, audio):
            inputs += ["-f", "lavfi", "-i", source] if source else []
        ffmpeg(*inputs, *options, f"file:{path}")
        return path

    return make_file
