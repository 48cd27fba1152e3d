"""Makes the toy stages importable as ``toys``, here and in child processes."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    """The file in which toy stages note their work, one line each."""
    path = tmp_path / "log.txt"
    path.touch()
    monkeypatch.setenv("TOY_LOG", str(path))
    return path
