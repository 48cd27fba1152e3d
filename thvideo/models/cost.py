"""What the networks of a preset cost: parameters, and arithmetic for one picture.

Counted without running anything: the networks and pictures have shapes but no values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thvideo.models.presets import ModelOptions, build_networks
from thvideo.models.shown import EYE_SIZE, MOUTH_SIZE, Patch, Patches, Shown
from thvideo.models.swift import SwiftGenerator

Part = Literal["embedder", "projection", "generator", "discriminator"]

# Points along a side of the draft's flow; its arithmetic is not counted.
_FLOW_POINTS = 16


@dataclass(frozen=True)
class Cost:
    """What one part of a preset costs.

    Args:
        part: Which; the projection P is counted apart from the generator.
        n_parameters: Learned numbers; of a discriminator without W, whose size is the data's.
        gflop: For one picture, in 10^9 operations, two for each multiply-add of convolutions
            and matrix products. The rest of the arithmetic is not counted.
    """

    part: Part
    n_parameters: int
    gflop: float


@torch.no_grad()
def preset_costs(options: ModelOptions, size_px: int | None = None) -> tuple[Cost, ...]:
    """Count the cost of every part of a preset.

    A driven video costs the generator for each frame, the embedder for each source picture and
    the projection once; training costs all of them about three times.

    Args:
        options: The architecture.
        size_px: Side of the pictures; the preset's own if None.
    """
    side = size_px or options.networks.size_px
    with torch.device("meta"):
        networks = build_networks(options, n_videos=1)
        picture = torch.empty(1, 3, side, side)
        flow = torch.empty(1, _FLOW_POINTS, _FLOW_POINTS, 2)
        mouth, eyes = (
            Patch(*4 * [torch.empty(n, 3, *size)]) for n, size in ((1, MOUTH_SIZE), (2, EYE_SIZE))
        )
    for network in networks:
        network.eval()
    embedder, generator, discriminator = networks
    embedding = embedder(picture, picture)
    adain = generator.adain_parameters(embedding)
    shown = Shown(picture, picture, picture, flow, picture, picture[:, :1])
    fovea = generator.fovea if isinstance(generator, SwiftGenerator) else None

    def draw() -> None:
        generator(shown, adain)
        if fovea is not None:
            fovea(Patches(mouth, eyes), fovea.projection(embedding))

    projections = [generator.projection, *([fovea.projection] if fovea else [])]
    n_projection = sum(map(_n_parameters, projections))
    n_shared = _n_parameters(discriminator) - _n_parameters(discriminator.columns)
    runs: tuple[tuple[Part, int, Callable[[], object]], ...] = (
        ("embedder", _n_parameters(embedder), lambda: embedder(picture, picture)),
        ("projection", n_projection, lambda: generator.adain_parameters(embedding)),
        (
            "generator",
            _n_parameters(generator) - n_projection,
            draw,
        ),
        ("discriminator", n_shared, lambda: discriminator(picture, picture, embedding)),
    )
    return tuple(Cost(part, n_parameters, _gflop(run)) for part, n_parameters, run in runs)


def _n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _gflop(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 1e9
