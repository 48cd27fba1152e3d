"""Train the bundled tracker on your own data.

python -m thvideo.training.tracker landmarks --data DATA --out RUN --minutes 45
"""

import argparse
from pathlib import Path
from typing import get_args

import torch

from thvideo.models.precision import Precision
from thvideo.training.timed_run import RunOptions
from thvideo.training.tracker_detector import train_detector
from thvideo.training.tracker_landmarks import train_landmarks


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m thvideo.training.tracker", description=__doc__)
    parser.add_argument("network", choices=["landmarks", "detector"])
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.tsv")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--peak-lr", type=float, default=2e-3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32")
    parser.add_argument("--first-weights", type=Path, default=None)
    parser.add_argument("--empty", type=Path, default=None, help="folder of face-free pictures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the training that the command line asks for."""
    given = parse_arguments(arguments)
    torch.set_num_threads(given.threads)
    options = RunOptions(
        seconds=given.minutes * 60,
        peak_lr=given.peak_lr,
        seed=given.seed,
        precision=given.precision,
    )
    if given.network == "detector":
        train_detector(
            given.data,
            given.out,
            options,
            batch_size=given.batch_size,
            first_weights=given.first_weights,
            empty_pictures=given.empty,
        )
        return
    train_landmarks(
        given.data,
        given.out,
        options,
        batch_size=given.batch_size,
        first_weights=given.first_weights,
        empty_pictures=given.empty,
    )


if __name__ == "__main__":
    main()
