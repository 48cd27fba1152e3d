"""The command line as it is, save that its chunks are of few frames: COMMAND ..."""

import sys
from dataclasses import replace

from thvideo.cli.boundary import main
from thvideo.cli.options import Given
from thvideo.stages.base import Resources

CHUNK_FRAMES = 4

_resources = Given.resources


def _in_small_chunks(given: Given) -> Resources:
    return replace(_resources(given), chunk_frames=CHUNK_FRAMES)


if __name__ == "__main__":
    Given.resources = _in_small_chunks  # type: ignore[method-assign]  # a trial, not the product
    sys.exit(main())
