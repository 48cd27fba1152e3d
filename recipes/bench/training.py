"""Steps of meta-training, on made pictures: speed does not depend on what they show."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from recipes.bench.models import FLOW_POINTS, Planned, wait
from recipes.bench.rounds import Probe, Quantity, looped
from thvideo.landmarks.schema import N_POINTS
from thvideo.models.perceptual import perceptual_net
from thvideo.models.presets import ModelOptions
from thvideo.synthesis.auto_precision import choose_precision
from thvideo.training.batch import Batch
from thvideo.training.learner import Learner
from thvideo.training.meta_options import META_PRESETS, HowToRun, MetaOptions

#: Samples in a step; the real batches would take minutes on a small machine.
_SAMPLES = {"paper": 1, "swift": 4}


def planned(
    device: torch.device, presets: Mapping[str, ModelOptions], perceptual: Mapping[str, Path]
) -> Planned:
    """Plan a step of every preset, with the discriminator.

    Args:
        device: Where.
        presets: The architectures by name.
        perceptual: Weights of the perceptual networks; losses that lack theirs are left out.
    """
    # As in meta-training: denormal numbers make a step several times slower.
    torch.set_flush_denormal(True)
    probes, left_out = [], []
    for preset, models in presets.items():
        options = META_PRESETS[preset]
        content = tuple(pair for pair in options.losses.content if pair[0] in perceptual)
        for name, _ in options.losses.content:
            if name not in perceptual:
                left_out.append(
                    f"training of {preset}: the loss of {name}; --perceptual {name}=FILE adds it"
                )
        options = replace(
            options,
            batch_size=_SAMPLES[preset],
            adversarial_from=0,
            losses=replace(options.losses, content=content),
            precision=choose_precision("auto", str(device)),
        )
        nets = {name: perceptual_net(name, perceptual[name]).to(device) for name, _ in content}
        learner = Learner(options, models, options.batch_size, HowToRun(device), nets)
        probes.append(_step(learner, options, models.networks.size_px))
    return Planned(probes, left_out)


def _step(learner: Learner, options: MetaOptions, size_px: int) -> Probe:
    n_batch, n_shots, device = options.batch_size, usual_shots(options), learner.device
    batch = made_batch(n_batch, n_shots, size_px).to(device)
    quantity = Quantity(
        "training",
        f"{options.preset}, {options.precision}, {n_batch} at once, K = {n_shots}",
        "sample",
        precision=options.precision,
    )

    def call() -> None:
        learner.train([batch])
        wait(device)

    return looped(quantity, call, n_batch)


def usual_shots(options: MetaOptions) -> int:
    """Return K, or its mean where it is drawn."""
    episodes = options.episodes
    if episodes.fixed_shots:
        return episodes.fixed_shots
    # K is drawn with chances of 1 / K.
    return round(episodes.max_shots / sum(1 / k for k in range(1, episodes.max_shots + 1)))


def made_batch(n_batch: int, n_shots: int, size_px: int) -> Batch:
    """Return episodes of noise."""
    rng = torch.Generator().manual_seed(0)

    def pixels(*shape: int) -> torch.Tensor:
        size = (n_batch, *shape, size_px, size_px)
        return torch.randint(0, 256, size, dtype=torch.uint8, generator=rng)

    return Batch(
        sources=pixels(n_shots, 3),
        source_maps=pixels(n_shots, 3),
        chosen=torch.zeros(n_batch, dtype=torch.long),
        target=pixels(3),
        target_map=pixels(3),
        draft=pixels(3),
        flow=0.1 * torch.randn((n_batch, FLOW_POINTS, FLOW_POINTS, 2), generator=rng),
        still_head=pixels(1),
        mask=torch.full((n_batch, 1, size_px, size_px), 255, dtype=torch.uint8),
        region=pixels(1),
        points=torch.rand((n_batch, N_POINTS, 2), generator=rng) * size_px,
        video=torch.arange(n_batch),
    )
