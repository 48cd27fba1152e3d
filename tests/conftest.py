"""Fixtures shared by all tests, and what all of them hold fixed."""

import os
import tempfile
from pathlib import Path

# Workers of the test run share the cores: threads that spin while they wait would starve them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

# What "auto" takes is measured on the machine: tests say what they compute in. Set to bf16, all
# of them try that.
os.environ["THVIDEO_PRECISION"] = os.environ.get("THVIDEO_PRECISION") or "fp32"
# The person's own is neither read nor written.
_CACHE = tempfile.TemporaryDirectory(prefix="thvideo-tests-")
os.environ["THVIDEO_CACHE"] = _CACHE.name

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, portraits, sources and drivers; skips where it is absent."""
    if not (SHARED_DATA / "drivers").is_dir():
        pytest.skip(f"real material is not at {SHARED_DATA}")
    return SHARED_DATA
