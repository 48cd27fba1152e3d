"""Errors say why in words, not in numbers."""

import errno
import os

import pytest

from thvideo.errors import reason_of

FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, FULL, "/a/file"), FULL),
        (RuntimeError(f"I/O error: {FULL} (os error 28)"), FULL),
        (RuntimeError(f'Error while serializing: I/O error: {FULL} at path "/a/.tmp"'), FULL),
        (RuntimeError(f"{FULL} (os error 28)"), FULL),
        (KeyError("step"), "step is missing"),
        (ValueError("one\ntwo"), "one"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_reason_has_neither_numbers_nor_paths(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
