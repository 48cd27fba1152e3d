"""``track --preview`` shows what was found."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_preview_draws_the_landmarks_over_the_picture(thvideo: Run, tmp_path: Path) -> None:
    face = data.astronaut()[:256, 64:384]
    Image.fromarray(face).save(tmp_path / "face.png")
    done = thvideo("track", "face.png", "--preview", "seen.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "preview: seen.png"
    changed = (np.asarray(Image.open(tmp_path / "seen.png")) != face).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 100 < changed.sum() < 0.2 * changed.size
    # The face's place in the picture, by eye.
    assert 40 < rows.mean() < 190
    assert 90 < columns.mean() < 230
