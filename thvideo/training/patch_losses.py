"""The losses of what the foveal networks draw: those of whole pictures, in patches."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from thvideo.models.discriminator import Discriminator
from thvideo.models.perceptual import PerceptualNet
from thvideo.models.shown import Drawn, DrawnPatches, as_signed
from thvideo.training.losses import (
    Judges,
    LossWeights,
    StepLoss,
    Truth,
    discriminator_step_loss,
    generator_step_loss,
)
from thvideo.training.patch_batch import PatchBatch, PatchesOfOne


def patch_generator_loss(
    drawn: DrawnPatches,
    patches: PatchBatch,
    weights: LossWeights,
    discriminator: Discriminator,
    perceptual: Mapping[str, PerceptualNet],
) -> StepLoss:
    """The loss of the foveal networks' step, a sum over mouths and eyes.

    Args:
        drawn: What they drew.
        patches: What they should have drawn.
        weights: How much each term counts, as in whole pictures.
        discriminator: Holds those of patches.
        perceptual: The perceptual networks that the weights name.
    """

    def lost(image: Tensor, truth: Truth, judge: Discriminator) -> StepLoss:
        judges = Judges(judge, perceptual)
        return generator_step_loss(Drawn(image), None, truth, weights, judges)

    return _summed(lost, drawn, patches, discriminator)


def patch_discriminator_loss(
    drawn: DrawnPatches, patches: PatchBatch, discriminator: Discriminator
) -> StepLoss:
    """The loss of the step of the patches' discriminators; no gradient reaches what is drawn."""

    def lost(image: Tensor, truth: Truth, judge: Discriminator) -> StepLoss:
        return discriminator_step_loss(judge, image, truth)

    return _summed(lost, drawn, patches, discriminator)


def each_part(patches: PatchBatch) -> Iterator[tuple[str, PatchesOfOne]]:
    """Yield mouths and eyes with their names."""
    yield from (("mouth", patches.mouth), ("eyes", patches.eyes))


def _summed(
    lost: Callable[[Tensor, Truth, Discriminator], StepLoss],
    drawn: DrawnPatches,
    patches: PatchBatch,
    discriminator: Discriminator,
) -> StepLoss:
    total, terms = torch.zeros((), device=drawn.mouth.device), dict[str, Tensor]()
    for (name, part), image in zip(each_part(patches), drawn, strict=True):
        judge = discriminator.patches[name]
        assert isinstance(judge, Discriminator)
        loss = lost(image, _truth_of(part, judge), judge)
        total = total + loss.total
        terms |= {f"{name}_{term}": value for term, value in loss.terms.items()}
    return StepLoss(total, terms)


def _truth_of(patches: PatchesOfOne, judge: Discriminator) -> Truth:
    return Truth(
        image=as_signed(patches.truth),
        map=as_signed(patches.shapes),
        w=judge.w_0[None],
        mask=patches.mask.float() / 255,
        regions=patches.region.float() / 255,
    )
