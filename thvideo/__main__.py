"""``python -m thvideo`` and the ``thvideo`` command."""

import sys

from thvideo.cli.boundary import main

if __name__ == "__main__":
    sys.exit(main())
