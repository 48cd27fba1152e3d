"""Show several videos in one grid, with the first one's sound.

python recipes/montage.py montage.mp4 a.mp4 b.mp4 ...
"""

import math
import sys
import tempfile
from pathlib import Path

from moviepy import ColorClip, CompositeVideoClip, VideoFileClip

CELL_PX = 320


def montage(out: Path, videos: list[Path]) -> None:
    """Write a grid as wide as high, every video in its square, until the longest ends."""
    clips = [VideoFileClip(str(video)) for video in videos]
    columns = math.ceil(math.sqrt(len(clips)))
    rows = math.ceil(len(clips) / columns)
    placed = []
    for index, clip in enumerate(clips):
        fitted = clip.resized(CELL_PX / max(clip.size))
        left = index % columns * CELL_PX + (CELL_PX - fitted.w) // 2
        top = index // columns * CELL_PX + (CELL_PX - fitted.h) // 2
        placed.append(fitted.with_position((left, top)))
    length_s = max(clip.duration for clip in clips)
    size = (columns * CELL_PX, rows * CELL_PX)
    ground = ColorClip(size, color=(24, 24, 24), duration=length_s)
    grid = CompositeVideoClip([ground, *placed]).with_audio(clips[0].audio)
    try:
        with tempfile.TemporaryDirectory(prefix=".thvideo-", dir=out.parent) as folder:
            unfinished = Path(folder) / out.name
            grid.write_videofile(
                str(unfinished),
                fps=max(clip.fps for clip in clips),
                codec="libx264",
                audio_codec="aac",
                temp_audiofile_path=folder,
                ffmpeg_params=["-pix_fmt", "yuv420p", "-movflags", "+faststart"],
                logger=None,
            )
            unfinished.replace(out)
    finally:
        for clip in clips:
            clip.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    montage(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
