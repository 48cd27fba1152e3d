"""Time every stage on this machine, beside ffmpeg alone on the same frames.

Command: ``make bench``, or ``.venv/bin/python recipes/bench.py [SOURCE DRIVER]``. Each round makes
everything anew in a fresh workspace; the medians of three rounds are printed, and the ratio to
one ffmpeg process that decodes the driver and encodes it again with the same settings.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from thvideo.video.ffmpeg import ffmpeg_path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ROUNDS = 3


def time_ffmpeg(driver: Path, folder: Path) -> float:
    """Return the seconds that decoding and encoding the driver takes."""
    started_s = time.perf_counter()
    args = ["-nostdin", "-loglevel", "error", "-y", "-i", f"file:{driver}"]
    args += ["-c:v", "libx264", "-crf", "17", "-preset", "fast", "-an", str(folder / "again.mp4")]
    subprocess.run([str(ffmpeg_path()), *args], check=True)
    return time.perf_counter() - started_s


def time_thvideo(source: Path, driver: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of each stage, of the whole command and of the same command again."""
    command = [sys.executable, "-m", "thvideo", "reenact", "--quiet", "--source", str(source)]
    command += ["--driver", str(driver), "-o", str(folder / "out.mp4")]
    command += ["--workspace", str(folder / "workspace")]
    seconds = {}
    for name in ("whole command", "the same again, cached"):
        started_s = time.perf_counter()
        subprocess.run(command, check=True)
        seconds[name] = time.perf_counter() - started_s
    report = json.loads((folder / "out.json").read_text())
    stages = {stage["id"]: stage["seconds"] for stage in report["stages"] if "seconds" in stage}
    return stages | seconds


def main() -> None:
    """Print the table."""
    given = [Path(argument).resolve() for argument in sys.argv[1:3]]
    source, driver = given or (EXAMPLES / "painting.jpg", EXAMPLES / "driver.mp4")
    rounds, encodes = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch:
            encodes.append(time_ffmpeg(driver, Path(scratch)))
            rounds.append(time_thvideo(source, driver, Path(scratch)))
            report = json.loads((Path(scratch) / "out.json").read_text())
    n_frames, ffmpeg_s = report["times"]["n_frames"], statistics.median(encodes)
    table = Table(title=f"{source.name} with {driver.name}, {n_frames} frames")
    for title in ("", "seconds", "frames a second", "times ffmpeg alone"):
        table.add_column(title, justify="left" if not title else "right")
    table.add_row("ffmpeg alone", f"{ffmpeg_s:.2f}", f"{n_frames / ffmpeg_s:.0f}", "1.0")
    for name in rounds[0]:
        seconds = statistics.median(one[name] for one in rounds)
        rate = f"{n_frames / seconds:.0f}" if "source" not in name and name != "embed" else ""
        table.add_row(name, f"{seconds:.2f}", rate, f"{seconds / ffmpeg_s:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
