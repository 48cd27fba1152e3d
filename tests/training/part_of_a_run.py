"""One process of a run on drawn faces, as `torchrun` would start it: DATASET RUN STEPS."""

import sys
from pathlib import Path

import torch

from tests.training.drawn_faces import ADVERSARIAL, SMALL_SWIFT, small_options
from thvideo.training.meta import MetaRun
from thvideo.training.meta_options import Budget, Every, HowToRun
from thvideo.training.processes import joined


def main(data: str, folder: str, n_steps: str) -> None:
    """Train from the beginning; the first process's last one-step losses go to stdout."""
    torch.set_num_threads(1)
    how = HowToRun(torch.device("cpu"), workers=0)
    options = small_options(Path(data), **(ADVERSARIAL | {"batch_size": 4}))
    with joined(how.device) as processes:
        run = MetaRun(Path(folder), options, how, SMALL_SWIFT, processes)
        run.begin()
        budget = Budget(steps=int(n_steps), save=Every(), validate=Every(steps=2))
        for event in run.run(budget):
            if processes.is_first:
                print(event)


if __name__ == "__main__":
    main(*sys.argv[1:])
