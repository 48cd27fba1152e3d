"""Weights files of small networks."""

import dataclasses
from pathlib import Path

import torch

from tests.training.drawn_faces import SIZE_PX
from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.models.presets import ModelOptions, build_networks
from thvideo.models.swift import SwiftGenerator
from thvideo.training.checkpoint import with_prefix
from thvideo.weights.write import write_weights


def write_tiny(
    path: Path,
    options: ModelOptions,
    *,
    spread: float = 0.0,
    seed: int = 0,
    trained_px: int = SIZE_PX,
    stays: float = -9.0,
) -> Path:
    """Write the weights of fresh networks.

    Args:
        path: The `.safetensors` to write.
        options: Which.
        spread: The swift generator's last layers start at zero; this much noise wakes them.
        seed: Of the first weights.
        trained_px: Side of the pictures that they are said to be trained on.
        stays: The logit of what stays still: nothing does.
    """
    torch.manual_seed(seed)
    networks = build_networks(options, n_videos=2)
    if spread:
        last = networks.generator.last
        last.weight.data.normal_(0, spread)
    if isinstance(networks.generator, SwiftGenerator):
        assert networks.generator.flow.last.bias is not None
        networks.generator.flow.last.bias.data[2] = stays
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
