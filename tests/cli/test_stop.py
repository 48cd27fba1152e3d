"""Ctrl-C and SIGTERM stop at once, keep what is finished, and the next run goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.cli_process import environment
from thvideo.cli.stop import GRACE_S
from thvideo.workspace.chunks import JOURNAL

# The extract stage replaced by one that makes six chunks in three seconds, so that the moment of
# the signal is known and no face is needed. What blocks would take minutes.
SLOW_STAGE = """
import hashlib, sys, threading, time
from thvideo.cli import stop
from thvideo.cli.boundary import main
from thvideo.stages.base import Progress
from thvideo.stages.extract import Extract

def run(self, job):
    if "{blocks}" == "library":
        yield Progress(1, None)
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000_000_000)
    if "{blocks}" == "thread":
        threading.Thread(target=time.sleep, args=(300,)).start()
    for index in range(6):
        name = f"chunk{{index}}.txt"
        if not job.chunks.is_done(name):
            time.sleep(0.5)
            with job.chunks.writing(name) as path:
                path.write_text("made")
            print("made", name, file=sys.stderr, flush=True)
        yield Progress(index + 1, 6, "chunks")

Extract.run = run
stop.GRACE_S = {grace_s}
sys.exit(main(sys.argv[1:]))
"""


def start(
    folder: Path, media: Path, blocks: str = "nothing", grace_s: float = GRACE_S
) -> subprocess.Popen[str]:
    stage = SLOW_STAGE.format(blocks=blocks, grace_s=grace_s)
    return subprocess.Popen(
        [sys.executable, "-c", stage, "extract", str(media / "noise.png"), "--json"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], event: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == event:
            return
    pytest.fail(f"ended without {event}")


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal and return the exit code and what was said; what blocks is not waited for."""
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stopped_run_keeps_its_chunks_and_goes_on(
    number: signal.Signals, code: int, tmp_path: Path, media: Path
) -> None:
    process = start(tmp_path, media)
    wait_for(process, "node_progress")
    wait_for(process, "node_progress")
    got, said = stop(process, number)
    assert got == code
    assert "finished parts are kept; the same command goes on" in said
    assert "Traceback" not in said
    (partial,) = (tmp_path / ".thvideo" / "partial").iterdir()
    kept = sorted({path.name for path in partial.iterdir()} - {JOURNAL})
    assert kept[:2] == ["chunk0.txt", "chunk1.txt"]
    assert not [name for name in kept if name.startswith(".tmp-")]

    again = start(tmp_path, media)
    out, said = again.communicate(timeout=60)
    assert again.returncode == 0
    made = [line.split()[1] for line in said.splitlines() if line.startswith("made ")]
    assert made == [f"chunk{index}.txt" for index in range(6)][len(kept) :]
    assert "goes on from an interrupted run" in out


@pytest.mark.parametrize("blocks", ["library", "thread"])
def test_nothing_a_library_does_delays_the_stop(blocks: str, tmp_path: Path, media: Path) -> None:
    process = start(tmp_path, media, blocks)
    wait_for(process, "node_progress")
    time.sleep(0.3)
    code, said = stop(process, signal.SIGINT)
    assert code == 130
    assert said.count("finished parts are kept") == 1


def test_a_second_signal_does_not_wait(tmp_path: Path, media: Path) -> None:
    process = start(tmp_path, media, "library", grace_s=300)
    wait_for(process, "node_progress")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    # Two signals at once would be heard as one.
    time.sleep(0.3)
    assert stop(process, signal.SIGINT)[0] == 130
