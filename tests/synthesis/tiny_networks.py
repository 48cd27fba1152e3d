"""Small networks of both presets and their weights files."""

import dataclasses
from pathlib import Path

import torch

from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.models.generator import PaperOptions
from thvideo.models.presets import PRESETS, DiscriminatorOptions, ModelOptions, build_networks
from thvideo.models.swift import SwiftOptions
from thvideo.training.checkpoint import with_prefix
from thvideo.weights.write import write_weights

SIDE_PX = 64
_JUDGE = DiscriminatorOptions((8, 16), attention_stride=None)
TINY_SWIFT = ModelOptions(
    "swift",
    SwiftOptions(
        size_px=SIDE_PX,
        embedding=16,
        widths=(8, 8, 16),
        n_blocks=1,
        flow_px=32,
        flow_widths=(8, 8, 8),
        embedder_widths=(8, 8, 8, 16),
    ),
    _JUDGE,
)
TINY_PAPER = dataclasses.replace(
    PRESETS["paper"],
    networks=PaperOptions(SIDE_PX, (8, 16), (8, 16), n_same=1, attention=False),
    discriminator=_JUDGE,
)


def write_tiny(
    path: Path,
    options: ModelOptions,
    *,
    spread: float = 0.0,
    seed: int = 0,
    trained_px: int = SIDE_PX,
) -> Path:
    """Write the weights of fresh networks.

    Args:
        path: The `.safetensors` to write.
        options: Which.
        spread: The swift generator's last layers start at zero; this much noise wakes them.
        seed: Of the first weights.
        trained_px: Side of the pictures that they are said to be trained on.
    """
    torch.manual_seed(seed)
    networks = build_networks(options, n_videos=2)
    if spread:
        last = networks.generator.last
        last.weight.data.normal_(0, spread)
    tensors = {}
    for name, network in zip(("embedder", "generator", "discriminator"), networks, strict=True):
        tensors |= with_prefix(name, dict(network.state_dict()))
    card = {
        "name": path.stem,
        "what": "tiny networks",
        "preset": options.preset,
        "options": dataclasses.asdict(options),
        "draw_style": DRAW_STYLE,
        "size_px": trained_px,
    }
    write_weights(path, {k: v.detach().contiguous() for k, v in tensors.items()}, card)
    return path
