"""Fixtures shared by all tests."""

import os
from pathlib import Path

# Workers of the test run share the cores: threads that spin while they wait would starve them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, portraits, sources and drivers; skips where it is absent."""
    if not (SHARED_DATA / "drivers").is_dir():
        pytest.skip(f"real material is not at {SHARED_DATA}")
    return SHARED_DATA
