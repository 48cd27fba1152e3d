"""What fine-tuning starts from: the networks of a weights file, and how they are trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from thvideo.errors import InputError, reason_of
from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.models.content_weights import FEW_SHOT_CONTENT
from thvideo.models.presets import ModelOptions, Networks, build_networks, options_from_card
from thvideo.training.checkpoint import load_into
from thvideo.training.few_shot import FewShotOptions
from thvideo.training.meta_options import without_adversary
from thvideo.weights.cards import Card
from thvideo.weights.load import load_weights

#: Larger pictures take longer and teach little more: one picture has to be learned in 90 s on
#: two CPU cores.
_MOST_PX = 192


def meta_learned(weights: Path, preset: str) -> tuple[Networks, Card]:
    """Load the networks that fine-tuning starts from, and their card.

    Args:
        weights: A file as ``thvideo weights export`` writes it.
        preset: What it has to be of.

    Raises:
        InputError: The file is missing, damaged, or of another preset or version.
    """
    parts, card = load_weights(weights, preset, DRAW_STYLE)
    return personal_start(parts, options_from_card(card["options"])), card


def personal_start(parts: Mapping[str, Mapping[str, Tensor]], options: ModelOptions) -> Networks:
    """Build the networks that fine-tuning starts from.

    Args:
        parts: Tensors of embedder, generator and discriminator by name. The discriminator's
            columns of W may be missing: they are other people's.
        options: The architecture.

    Raises:
        InputError: There is no discriminator, or tensors are those of another architecture.
    """
    if not parts["discriminator"]:
        raise InputError(
            "the weights hold no discriminator, which fine-tuning needs",
            hint="leave out --finetune-steps, or export the run that they come from again: "
            "thvideo weights export RUN -o FILE",
        )
    networks = build_networks(options, n_videos=1)
    column = {"columns.weight": networks.discriminator.columns.weight.detach()}
    load_into(networks.embedder, parts["embedder"], "the embedder")
    load_into(networks.generator, parts["generator"], "the generator")
    load_into(networks.discriminator, {**parts["discriminator"], **column}, "the discriminator")
    return networks


def few_shot_options(card: Card, perceptual: Sequence[str] = ()) -> FewShotOptions:
    """Return how a person is learned with the networks of a card.

    Args:
        card: The weights' own; each loss counts as much as it did in their training.
        perceptual: Names of perceptual networks at hand; one that the weights were trained
            without counts as the presets say.

    Raises:
        InputError: The card says something else where it should say how they were trained.
    """
    try:
        return _as_trained(card, perceptual)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the card of the weights is damaged ({reason_of(error)})",
            hint="export the run that they come from again: thvideo weights export RUN -o FILE",
        ) from error


def _as_trained(card: Card, perceptual: Sequence[str]) -> FewShotOptions:
    options = FewShotOptions()
    options = replace(options, size_px=min(card["size_px"], _MOST_PX))
    trained = card.get("training", {}).get("options", {})
    losses = trained.get("losses", {})
    known = dict(FEW_SHOT_CONTENT) | dict(losses.get("content", ()))
    content = tuple((name, known[name]) for name in perceptual)
    options = replace(options, losses=replace(options.losses, content=content))
    if not losses or card.get("steps", 0) <= trained.get("adversarial_from", 0):
        # A discriminator that took no part in meta-training, as far as is known, judges nothing.
        return replace(options, losses=without_adversary(options.losses))
    judged = replace(
        options.losses,
        adversarial=float(losses["adversarial"]),
        feature_matching=float(losses["feature_matching"]),
    )
    return replace(options, losses=judged)
