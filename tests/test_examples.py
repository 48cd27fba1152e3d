"""The example files are what their scripts make, and are fit for a first try."""

import importlib.util
import shutil
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from thvideo.imaging.picture import load_picture
from thvideo.video.probe import probe

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_painting_is_what_its_script_makes(tmp_path: Path) -> None:
    script("make_painting").main(tmp_path / "again.jpg")
    kept = load_picture(EXAMPLES / "painting.jpg", 4096)
    again = load_picture(tmp_path / "again.jpg", 4096)
    assert kept.shape == again.shape == (1200, 960, 3)
    # Other versions of OpenCV may round otherwise, not paint otherwise.
    assert np.abs(kept.astype(int) - again).mean() < 2


def test_the_driver_has_picture_and_sound_and_is_small() -> None:
    path = EXAMPLES / "driver.mp4"
    info = probe(path)
    assert info.size == (600, 512)
    assert info.rate == Fraction(25)
    assert info.has_audio
    assert 6 < info.duration_s < 9
    assert path.stat().st_size < 1_000_000


@pytest.fixture(scope="module")
def driver_script() -> ModuleType:
    pytest.importorskip("matplotlib")
    return script("make_driver")


def test_the_mouth_opens_with_the_voice_and_rests_in_silence(driver_script: ModuleType) -> None:
    rate = 22050
    seconds = np.arange(3 * rate) / rate
    # A vowel between one second of silence and another.
    vowel = 0.3 * np.sin(2 * np.pi * 700 * seconds) * ((seconds > 1) & (seconds < 2))
    opening, spread = driver_script.mouth(vowel, rate)
    assert len(opening) == len(spread) == 75
    assert opening[30:45].min() > 0.8
    assert max(opening[:20].max(), opening[56:].max()) < 0.05


def test_a_silent_face_blinks_and_begins_and_ends_at_rest(driver_script: ModuleType) -> None:
    from thvideo.landmarks.pose import face_model

    points = face_model()[:, :2] * 120 + 250
    silence = np.zeros(200)
    moved = driver_script.act(points, silence, silence)
    assert moved.shape == (200, 70, 2)
    for frame in (0, -1):
        np.testing.assert_allclose(moved[frame], points, atol=0.5)
    lid_gap = moved[:, 41, 1] - moved[:, 37, 1]
    assert lid_gap.min() < 0.2 * lid_gap[0]
    assert np.abs(np.diff(moved[:, 30], axis=0)).max() < 2.5  # pixels a frame: no jumps


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_driver_is_made_again_by_its_script(driver_script: ModuleType, tmp_path: Path) -> None:
    driver_script.main(tmp_path / "again.mp4")
    kept, again = probe(EXAMPLES / "driver.mp4"), probe(tmp_path / "again.mp4")
    assert again.size == kept.size
    assert again.duration_s == pytest.approx(kept.duration_s, abs=1.5)
    assert again.has_audio
