"""The swift generator as it ships, beside the paper preset's: its networks, and whole frames.

The networks look at pictures of the side that their weights were trained on. A whole frame is a
crop as large as what the paper preset's generator draws, from landmarks to pixels: the draft, the
networks, and what they drew brought to the crop's size. As reenact does, every thread draws frames
of its own.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from recipes.bench.models import PRECISIONS, Call, called, multiplies_bf16, run_of
from recipes.bench.rounds import Quantity
from thvideo.landmarks.pose import Pose, face_model, project, rotation_from_angles
from thvideo.models.cost import preset_costs
from thvideo.models.precision import Precision
from thvideo.models.presets import options_from_card
from thvideo.stages.reenact import drawing_threads
from thvideo.synthesis.batching import BATCH_FRAMES
from thvideo.synthesis.device import cpu_thread_count, cpu_threads
from thvideo.synthesis.networks import DrawingNetworks, embed_crops, load_networks
from thvideo.synthesis.neural import NeuralGenerator, SourceCrops, feed_forward
from thvideo.weights.cards import read_card, shipped_weight

#: Side of the crops that are drawn.
CROP_PX = 256

#: The name of whole frames, before their arithmetic and their number.
WHOLE_FRAMES = f"shipped swift, whole frames of {CROP_PX} px"


#: Heads turn by as much to either side.
_TURN_DEG = 10.0


def shipped_calls(device: torch.device) -> list[Call]:
    """Load the shipped networks and return their calls."""
    weights = shipped_weight("swift")
    networks = load_networks(weights, "swift", device)
    side = networks.size_px
    costs = preset_costs(options_from_card(read_card(weights)["options"]), side)
    [gflop] = [cost.gflop for cost in costs if cost.part == "generator"]
    calls = []
    for precision in PRECISIONS:
        is_emulated = precision == "bf16" and not multiplies_bf16(device)
        for n_frames in (1, BATCH_FRAMES):
            alone = run_of(networks, "generator", n_frames, side)
            runs = {
                f"shipped swift, networks at {side} px": called(alone, precision, device),
                # The generator chooses its arithmetic itself, for its networks alone.
                WHOLE_FRAMES: called(_whole_frames(networks, precision, n_frames), "fp32", device),
            }
            n_threads = 1 if n_frames == 1 else drawing_threads(device.type)
            for what, run in runs.items():
                name = f"{what}, {precision}, {n_threads * n_frames} at once"
                quantity = Quantity("models", name, "frame", gflop, precision, is_emulated)
                calls.append(Call(quantity, _side_by_side(run, n_threads), n_threads * n_frames))
    return calls


def _side_by_side(run: Callable[[], None], n_threads: int) -> Callable[[], None]:
    """Return a call that runs in so many threads at once, which share torch's among them."""
    if n_threads == 1:
        return run

    def call() -> None:
        share = cpu_thread_count() // n_threads
        with cpu_threads(share), ThreadPoolExecutor(n_threads) as pool:
            for done in [pool.submit(run) for _ in range(n_threads)]:
                done.result()

    return call


def _whole_frames(
    networks: DrawingNetworks, precision: Precision, n_frames: int
) -> Callable[[], object]:
    turns_deg = np.zeros((n_frames + 1, 3))
    turns_deg[1:, 0] = np.linspace(-_TURN_DEG, _TURN_DEG, n_frames)
    size_px = np.full(n_frames + 1, CROP_PX / 4)
    middle = np.full((n_frames + 1, 2), CROP_PX / 2 - 0.5)
    points = project(face_model(), Pose(rotation_from_angles(turns_deg), size_px, middle))
    crops = np.random.default_rng(0).integers(0, 256, (1, CROP_PX, CROP_PX, 3), np.uint8)
    source = SourceCrops(crops, points[:1].astype(np.float32))
    adain = feed_forward(networks, embed_crops(networks, *source))
    generator = NeuralGenerator(networks, source, adain, precision)
    return lambda: generator.generate(points[1:])
