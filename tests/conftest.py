"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, portraits, sources and drivers; skips where it is absent."""
    if not (SHARED_DATA / "drivers").is_dir():
        pytest.skip(f"real material is not at {SHARED_DATA}")
    return SHARED_DATA
