"""``python -m thvideo`` and the ``thvideo`` command."""

import gc
import os
import sys

# Threads that spin while they wait take the cores from those they wait for as soon as other
# programs use them too. OpenMP reads this when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from thvideo.cli import boundary


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        return boundary.main()
    finally:
        # Python looks for garbage once more at its end: half a second where PyTorch is loaded.
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
