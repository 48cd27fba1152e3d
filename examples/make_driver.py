"""Make driver.mp4: the US Navy's portrait of Grace Hopper speaks with a synthetic voice.

The picture is moved by thvideo's own warp generator; mouth, blinks and head follow the voice, so
nobody was filmed and nobody was recorded. Needs matplotlib (for the picture) and espeak-ng.

    python examples/make_driver.py [driver.mp4]
"""

import subprocess
import sys
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import stft

from thvideo.draft.warp_generator import WarpGenerator
from thvideo.imaging.blend import (
    feather_mask,
    full_frames,
    output_plan,
    paste,
    plan_paste,
    resize_to_plan,
)
from thvideo.imaging.crop import crop_for_face, scale_crop, take_crop, to_crop
from thvideo.imaging.picture import load_picture
from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.careful import find_carefully, landmarks_precisely
from thvideo.landmarks.expression import single_shape
from thvideo.landmarks.pose import Pose, project, rotation_from_angles
from thvideo.video.audio import file_sound
from thvideo.video.encode import EncodeSettings
from thvideo.video.timing import FrameTimes
from thvideo.video.write import encode_chunk, join

Curve = NDArray[np.float64]  # [T], one value for each frame

TEXT = (
    "Hello! This portrait is moved by landmarks. "
    "The voice is a computer. Nobody ever said these words."
)
RATE = 25
REST_S = 0.5  # before and after the voice
BLINKS_S = (0.3, 2.2, 3.9, 4.2, 6.3)
ESPEAK = ["espeak-ng", "-v", "en-us+f3", "-s", "162", "-p", "38"]


def speak(path: Path) -> tuple[Curve, int]:
    """Write the voice with silence around it; return its samples and rate."""
    subprocess.run([*ESPEAK, "-w", str(path), TEXT], check=True)
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        voice = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    silence = np.zeros(int(REST_S * rate), np.int16)
    padded = np.concatenate([silence, voice, silence])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(padded.tobytes())
    return padded / 32768.0, rate


def mouth(samples: Curve, rate: int) -> tuple[Curve, Curve]:
    """Read from the voice how far the mouth opens (0..1) and spreads (-1 round, 1 wide)."""
    step = rate // (4 * RATE)
    pitch_hz, _, spectrum = stft(samples, rate, nperseg=6 * step, noverlap=5 * step)
    power = np.abs(spectrum) ** 2

    def band(low_hz: float, high_hz: float) -> Curve:
        return power[(pitch_hz >= low_hz) & (pitch_hz < high_hz)].sum(axis=0) + 1e-9

    # An open vowel is loud around its first formant; lips make the second one low or high.
    loud = np.sqrt(band(350, 1100))
    opening = gaussian_filter1d(np.clip(loud / np.percentile(loud, 95), 0, 1) ** 0.7, 3)
    tilt = np.log(band(1700, 3000) / band(700, 1300))
    spread = gaussian_filter1d(np.tanh((tilt - np.median(tilt)) / 2) * np.sqrt(opening), 6)
    # Lips are a little ahead of the sound that they make.
    at = np.clip(np.arange(int(len(samples) / rate * RATE)) * 4 + 1, 0, len(opening) - 1)
    return opening[at], spread[at]


def wander(n_frames: int, seed: int, sigma_s: float) -> Curve:
    """Smooth noise of about unit size that begins and ends at rest."""
    noise = np.random.default_rng(seed).normal(size=n_frames)
    smooth = gaussian_filter1d(noise, sigma_s * RATE, mode="wrap")
    calm = np.clip(np.minimum(np.arange(n_frames), np.arange(n_frames)[::-1]) / (0.6 * RATE), 0, 1)
    return smooth / smooth.std() * calm


def act(points: NDArray[np.float64], opening: Curve, spread: Curve) -> NDArray[np.float64]:
    """Move the landmarks `[70, 2]` of a resting face: `[T, 70, 2]` that speak and look alive."""
    n_frames = len(opening)
    face, pose = single_shape(points)
    faces = np.repeat(face[None], n_frames, axis=0)  # unit: distance of the outer eye corners
    # The jaw: lower lip and chin go down, everything beside them less.
    down = np.zeros(70)
    down[[66, 57]] = 1.0
    down[[65, 67, 56, 58]] = 0.9
    down[[55, 59]] = 0.5
    down[[48, 54, 60, 64]] = 0.15
    down[4:13] = [0.15, 0.4, 0.65, 0.85, 0.9, 0.85, 0.65, 0.4, 0.15]
    down[[61, 62, 63, 50, 51, 52]] = -0.12
    faces[:, :, 1] += 0.14 * opening[:, None] * down
    lips = faces[:, 48:68, 0]
    middle = lips.mean(axis=1, keepdims=True)
    faces[:, 48:68, 0] = middle + (lips - middle) * (1 + 0.12 * spread[:, None])
    # Blinks: three frames down, three up. The upper lid travels.
    frames = np.arange(n_frames)[:, None] - np.array(BLINKS_S) * RATE
    closed = np.clip(1.35 - np.abs(frames) / 2.6, 0, 1).max(axis=1)[:, None]
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        gap = faces[:, lower] - faces[:, upper]
        faces[:, upper] += 0.92 * closed * gap
        faces[:, lower] -= 0.06 * closed * gap
    stress = gaussian_filter1d(opening, 0.25 * RATE)
    raised = np.maximum(wander(n_frames, 3, 0.35), 0) + 0.6 * (stress - stress.min())
    faces[:, 17:27, 1] -= 0.022 * raised[:, None]
    yaw, pitch = 3.4 * wander(n_frames, 5, 0.45), 1.6 * wander(n_frames, 8, 0.4)
    pitch = pitch - 2.5 * (stress - stress[0])
    roll = 1.5 * wander(n_frames, 12, 0.5)
    # The eyes keep looking at the camera while the head turns.
    faces[:, 68:, 0] -= 0.1 * np.sin(np.radians(yaw))[:, None]
    faces[:, 68:, 1] += 0.1 * np.sin(np.radians(pitch))[:, None]
    turn = rotation_from_angles(np.stack([yaw, pitch, roll], axis=-1))
    drift = 0.02 * pose.scale[0] * np.stack([yaw / 3, -pitch / 3], axis=-1)
    poses = Pose(
        turn @ pose.rotation[0],
        np.repeat(pose.scale, n_frames) * (1 + 0.012 * wander(n_frames, 20, 0.6)),
        pose.translation + drift,
    )
    return project(faces, poses)


def find_landmarks(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the landmarks `[70, 2]` of the largest face."""
    tracker = BundledTracker("cpu", "fp32")
    points, _ = landmarks_precisely(picture, find_carefully(picture, tracker)[0].box, tracker)
    return points[0].astype(np.float64)


def main(path: Path) -> None:
    """Speak, move, and encode."""
    torch.set_num_threads(2)
    picture = load_picture(Path(get_sample_data("grace_hopper.jpg", asfileobj=False)), 1080)
    plan = output_plan(*picture.shape[:2], 1080)
    picture = resize_to_plan(picture, plan)
    points = find_landmarks(picture)
    crop = scale_crop(crop_for_face(points, 512), plan.scale)
    source, valid = take_crop(picture, crop)
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        moved = act(points, *mouth(*speak(voice)))
        generator = WarpGenerator(source[None], to_crop(points, crop)[None], torch.device("cpu"))
        moved = generator.settle(to_crop(moved, crop))
        place = plan_paste(picture, crop, source, feather_mask(crop.size_px, valid))
        batches = (
            full_frames(place, paste(place, generator.generate(moved[start : start + 16])))
            for start in range(0, len(moved), 16)
        )
        times = FrameTimes(np.arange(len(moved), dtype=np.int64), Fraction(1, RATE), 1)
        settings = EncodeSettings(crf=23, preset="slow")
        chunk = Path(folder) / "chunk.mp4"
        encode_chunk(chunk, batches, times, 0, len(moved), settings)
        about = {"title": "thvideo example driver", "comment": "synthetic: picture and voice"}
        join([chunk], path, times, settings, file_sound(voice), about)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("driver.mp4"))
