"""``python -m recipes.torture``: exit code 1 if a run came to another end than undisturbed."""

import argparse
import signal
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random

from recipes.torture.scene import FaultFoundError, Scene
from recipes.torture.trials import TRIALS, SkippedError


def main() -> int:
    """Try one trial after another until the time is over, and say what came of each."""
    parser = argparse.ArgumentParser(prog="make torture OPTIONS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="begin no trial after so long")
    parser.add_argument("--seed", type=int, default=0, help="the same trials again")
    parser.add_argument("--first", type=int, default=0, help="the number of the first trial")
    parser.add_argument("--only", choices=sorted(TRIALS), help="one kind of trial")
    given = parser.parse_args()
    # What is mounted and written here is gone also if the whole is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    started_s, n_faults, skipped = time.monotonic(), 0, set()
    names = [given.only] if given.only else list(TRIALS)
    with tempfile.TemporaryDirectory(prefix="thvideo-torture-") as folder:
        scene = Scene(Path(folder) / "scene")
        scene.make_reference()
        for number in count(given.first):
            if time.monotonic() - started_s > given.seconds:
                break
            name = names[number % len(names)]
            try:
                said = TRIALS[name](scene, Random(f"{given.seed} {number}"))  # noqa: S311  trials
            except SkippedError as reason:
                skipped.add(f"{name}: {reason}")
                continue
            except FaultFoundError as fault:
                n_faults += 1
                said = f"FAULT: {fault}"
            print(f"{number:4}  {name:<18}  {said}", flush=True)
    for reason in sorted(skipped):
        print(f"skipped: {reason}")
    print(f"{n_faults} faults" if n_faults else "no fault")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
