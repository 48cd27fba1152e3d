"""``python -m thvideo`` and the ``thvideo`` command."""

import os
import sys

# Threads that spin while they wait take the cores from those they wait for as soon as other
# programs use them too. OpenMP reads this when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from thvideo.cli.boundary import main

if __name__ == "__main__":
    sys.exit(main())
