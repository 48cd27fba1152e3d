"""The oldest libraries that are allowed have no holes that are known."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The first release without the hole, and the hole.
HOLES = {
    "torch": ((2, 10), "weights_only runs code: CVE-2025-32434, CVE-2026-24747"),
    "filelock": ((3, 20, 3), "a lock can be led through a link"),
    "pillow": ((11, 3), "a buffer overflow in DDS: CVE-2025-48379; AVIF raises KeyError"),
}


@pytest.fixture(scope="module")
def floors() -> dict[str, tuple[int, ...]]:
    if not (ROOT / ".ci/floors.py").is_file():
        pytest.skip("not a checkout")
    command = [sys.executable, str(ROOT / ".ci/floors.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [re.fullmatch(r"([\w.-]+)==([\d.]+)\.\*", line) for line in done.stdout.splitlines()]
    assert all(lines), done.stdout
    return {line[1]: tuple(map(int, line[2].split("."))) for line in lines if line}


@pytest.mark.parametrize("name", HOLES)
def test_a_library_with_a_known_hole_is_not_allowed(
    name: str, floors: dict[str, tuple[int, ...]]
) -> None:
    first, hole = HOLES[name]
    assert floors[name] >= first, hole


def test_every_dependency_and_what_runs_the_tests_has_a_floor(
    floors: dict[str, tuple[int, ...]],
) -> None:
    assert {"numpy", "typer", "matplotlib", "pytest", "pytest-xdist", "hypothesis"} <= set(floors)
