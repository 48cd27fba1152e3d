"""What thvideo costs on this machine: its pipeline, its networks and their training.

Command: ``make bench``, or ``.venv/bin/python -m recipes.bench [SOURCE DRIVER] [options]``.
Everything is measured in rounds and as a multiple of one thing that is measured in every round
too: one frame of the paper preset's generator, in fp32 and alone.
"""

import thvideo.__main__  # noqa: F401  its threads wait as those of the command do
