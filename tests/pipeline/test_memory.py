"""The peak is that of the part measured, children included."""

import mmap
import subprocess
import sys

import pytest

from thvideo.pipeline.memory import MemoryMeter, _reset_own_peak

MB = 1 << 20
TAKE = "x = b'x' * (150 << 20)"


def take_and_give_back(n_bytes: int) -> None:
    """Take pages of the system's: malloc may have as much left over from other tests."""
    with mmap.mmap(-1, n_bytes) as block:
        for page in range(0, n_bytes, mmap.PAGESIZE):
            block[page] = 1


def test_a_peak_is_seen_and_forgotten_by_the_next_meter():
    if not _reset_own_peak():
        pytest.skip("this system does not reset the high-water mark")
    first = MemoryMeter()
    before = first.peak_bytes()
    take_and_give_back(200 * MB)
    peak = first.peak_bytes()
    assert peak - before > 150 * MB
    assert MemoryMeter().peak_bytes() < peak - 150 * MB


def test_a_meter_that_is_in_use_keeps_its_peak_when_another_begins():
    first = MemoryMeter()
    before = first.peak_bytes()
    take_and_give_back(200 * MB)
    second = MemoryMeter()
    assert first.peak_bytes() - before > 150 * MB
    if _reset_own_peak():
        assert second.peak_bytes() < first.peak_bytes() - 150 * MB


def test_a_child_that_lives_counts():
    meter = MemoryMeter()
    before = meter.peak_bytes()
    script = f"{TAKE}\nprint('ready', flush=True)\ninput()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    meter.sample()
    child.communicate("\n")
    assert meter.peak_bytes() - before > 100 * MB


def test_a_large_process_that_runs_small_programs_is_not_counted_twice():
    block = bytearray(b"x") * (200 * MB)
    meter = MemoryMeter()
    own = meter.peak_bytes()
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            meter._next_sample_s = 0.0
            meter.sample()
            child.wait()
    assert meter.peak_bytes() - own < 100 * MB
    assert len(block) == 200 * MB
