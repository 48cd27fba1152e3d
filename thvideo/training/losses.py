"""The losses of meta-training and fine-tuning: each one function, then the two steps.

Sections 3.2 to 3.4 of arXiv:1905.08233. Means are taken over a sample first and over the batch
then, so that two processes with half a batch each have the loss of one with the whole, whatever
their masks.
Shapes: B samples, S pixels along a side, N embedding size, C channels and s cells of a feature.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.content_weights import CONTENT_WEIGHTS
from thvideo.models.discriminator import Discriminator
from thvideo.models.perceptual import PerceptualNet, content_loss
from thvideo.models.shown import Drawn


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts in the step of embedder and generator; 0 leaves it out.

    Args:
        content: Weight of the content loss under each perceptual network, by preset name.
        adversarial: Of minus the discriminator's score.
        feature_matching: Of the differences of the discriminator's activations.
        matching: Of the distance of the embedding to the video's column of W.
        l1: Of the mean absolute difference of pixels.
        region: Of the same weighted by the region map (mouth and eyes).
        warp: Of the mean absolute difference of the warped source, where there is one.
    """

    content: tuple[tuple[str, float], ...] = ()
    adversarial: float = 1.0
    feature_matching: float = 10.0
    matching: float = 0.0
    l1: float = 0.0
    region: float = 0.0
    warp: float = 0.0


#: The paper's weights in its two versions, and those of the swift preset.
LOSS_WEIGHTS: Mapping[str, LossWeights] = {
    "v1": LossWeights(content=CONTENT_WEIGHTS["v1"], matching=80.0),
    "v2": LossWeights(content=CONTENT_WEIGHTS["v2"], matching=10.0),
    "swift": LossWeights(
        content=CONTENT_WEIGHTS["swift"],
        adversarial=0.5,
        feature_matching=2.0,
        matching=0.3,
        l1=10.0,
        region=10.0,
        warp=5.0,
    ),
}


class Truth(NamedTuple):
    """What drawn frames are held against.

    Attributes:
        image: `[B, 3, S, S]` the true frames, RGB in -1..1.
        map: `[B, 3, S, S]` their landmark images.
        w: `[B, N]` or `[1, N]`: `W_i + w_0` of their videos, as the discriminator has it now.
        column: `[B, N]`: `W_i` alone, for the matching loss; None where there is no column.
        mask: `[B, 1, S, S]`: 1 where a pixel counts and 0 where it is no picture; None: all count.
        regions: `[B, 1, S, S]`: how much each pixel counts in the region loss; None: no region
            loss.
    """

    image: Tensor
    map: Tensor
    w: Tensor
    column: Tensor | None = None
    mask: Tensor | None = None
    regions: Tensor | None = None


class StepLoss(NamedTuple):
    """The loss of a step.

    Attributes:
        total: What the step minimises.
        terms: Its parts without their weights, detached.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Judges(NamedTuple):
    """The networks that judge what was drawn.

    Attributes:
        discriminator: D.
        perceptual: Perceptual networks by preset name.
    """

    discriminator: Discriminator
    perceptual: Mapping[str, PerceptualNet]


def hinge_loss(real_scores: Tensor, drawn_scores: Tensor) -> Tensor:
    """L_DSC: `max(0, 1 - D(x)) + max(0, 1 + D(x_hat))`, from scores without a sigmoid.

    Args:
        real_scores: `[B]`, or `[B, s * s]` of a discriminator that judges by cell.
        drawn_scores: the same shape.
    """
    real = functional.relu(1 - real_scores.float()).mean()
    return real + functional.relu(1 + drawn_scores.float()).mean()


def adversarial_loss(drawn_scores: Tensor) -> Tensor:
    """Minus the mean of the scores, `[B]` or `[B, s * s]`, of drawn frames."""
    return -drawn_scores.float().mean()


def feature_matching_loss(drawn: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """L_FM: mean absolute difference of activations, summed over the blocks, as in pix2pixHD.

    Args:
        drawn: `[B, C, s, s]` after each block for drawn frames; gradients reach these alone.
        real: the same for the true frames.
    """
    loss = drawn[0].new_zeros((), dtype=torch.float32)
    for found, wanted in zip(drawn, real, strict=True):
        loss = loss + (found.float() - wanted.detach().float()).abs().mean()
    return loss


def matching_loss(embedding: Tensor, column: Tensor) -> Tensor:
    """L_MCH: mean absolute difference of `e_i` `[B, N]` and `W_i`; gradients reach `e_i` alone.

    W is learned by the discriminator's step; the embedder learns to foresee it.
    """
    return (embedding.float() - column.detach().float()).abs().mean()


def masked_l1(images: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of pictures, weighted by pixel.

    Args:
        images: `[B, 3, S, S]`.
        targets: the same shape.
        weight: `[B, 1, S, S]`, not negative: a mask, a region map or their product. A sample's
            mean is divided by its own sum; a sample without any weight counts as 0.
    """
    difference = (images.float() - targets.float()).abs().mean(dim=1, keepdim=True)
    if weight is None:
        return difference.mean()
    weight = weight.float()
    total = weight.sum(dim=(1, 2, 3))
    per_sample = (difference * weight).sum(dim=(1, 2, 3)) / total.clamp(min=1e-6)
    return per_sample.mean()


def true_outside(images: Tensor, truth: Truth) -> Tensor:
    """Replace what the mask leaves out by the true pixels, so that no network sees a difference."""
    if truth.mask is None:
        return images
    return torch.lerp(truth.image.to(images), images, truth.mask.to(images))


@contextmanager
def held(network: nn.Module) -> Iterator[None]:
    """Hold a network's parameters: no gradient reaches them, though one may pass through."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def discriminator_step_loss(discriminator: Discriminator, images: Tensor, truth: Truth) -> StepLoss:
    """The loss of the discriminator's step; no gradient reaches embedder or generator.

    Args:
        discriminator: D.
        images: `[B, 3, S, S]` what the generator drew.
        truth: what should have been drawn; gradients flow into `truth.w`.
    """
    drawn = true_outside(images.detach(), truth).to(truth.image)
    # One pass for both: the same score as two, and one power iteration.
    both, maps = torch.cat([truth.image, drawn]), torch.cat([truth.map, truth.map])
    w = truth.w.expand(len(drawn), -1)
    real_scores, drawn_scores = discriminator(both, maps, torch.cat([w, w])).score.chunk(2)
    loss = hinge_loss(real_scores, drawn_scores)
    terms = {"hinge": loss, "score_real": real_scores.mean(), "score_drawn": drawn_scores.mean()}
    return StepLoss(loss, {name: term.detach() for name, term in terms.items()})


def generator_step_loss(
    drawn: Drawn,
    embedding: Tensor | None,
    truth: Truth,
    weights: LossWeights,
    judges: Judges,
) -> StepLoss:
    """The loss of the step of embedder and generator; no gradient reaches the discriminator.

    Args:
        drawn: what the generator drew.
        embedding: `[B, N]` `e_i`, for the matching loss; None in fine-tuning, which has none.
        truth: what should have been drawn.
        weights: how much each term counts.
        judges: the discriminator and the perceptual networks that the weights name.

    Raises:
        KeyError: a perceptual network that the weights name is not there.
    """
    terms: dict[str, tuple[float, Tensor]] = {}
    if weights.adversarial or weights.feature_matching:
        score, matching = _judged_by(judges.discriminator, drawn.image, truth)
        terms["adversarial"] = weights.adversarial, score
        terms["feature_matching"] = weights.feature_matching, matching
    for name, weight in weights.content:
        if weight:
            net = judges.perceptual[name]
            content = content_loss(net, drawn.image, truth.image, truth.mask)
            terms[f"content_{name}"] = weight, content
    if weights.matching and embedding is not None and truth.column is not None:
        terms["matching"] = weights.matching, matching_loss(embedding, truth.column)
    if weights.l1:
        terms["l1"] = weights.l1, masked_l1(drawn.image, truth.image, truth.mask)
    if weights.region and truth.regions is not None:
        region = truth.regions if truth.mask is None else truth.regions * truth.mask
        terms["region"] = weights.region, masked_l1(drawn.image, truth.image, region)
    if weights.warp and drawn.warped is not None:
        terms["warp"] = weights.warp, masked_l1(drawn.warped, truth.image, truth.mask)
    total = sum((weight * term for weight, term in terms.values()), drawn.image.new_zeros(()))
    return StepLoss(total, {name: term.detach() for name, (_, term) in terms.items()})


def _judged_by(discriminator: Discriminator, images: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """L_ADV's two terms: minus the score, and feature matching."""
    w = truth.w.detach()
    with held(discriminator):
        found = discriminator(true_outside(images, truth), truth.map, w)
        with torch.no_grad():
            wanted = discriminator(truth.image, truth.map, w)
    return adversarial_loss(found.score), feature_matching_loss(found.features, wanted.features)
