"""The foveal networks: they begin by adding nothing, learn, and weights of old do without them."""

import dataclasses

import pytest
import torch
from torch import Tensor

from tests.training.drawn_faces import SMALL_FOVEAL, SMALL_SWIFT
from thvideo.errors import InputError
from thvideo.models.cost import preset_costs
from thvideo.models.fovea import window
from thvideo.models.presets import build_networks, options_from_card, with_fovea
from thvideo.models.shown import Patch, Patches
from thvideo.models.swift import SwiftGenerator, SwiftOptions

assert isinstance(SMALL_FOVEAL.networks, SwiftOptions)
FOVEAL = SMALL_FOVEAL.networks


def patches(n_batch: int = 2, seed: int = 0) -> Patches:
    generator = torch.Generator().manual_seed(seed)

    def patch(n_patches: int, height: int, width: int) -> Patch:
        shape = (n_patches, 3, height, width)
        parts: list[Tensor] = [torch.rand(shape, generator=generator) * 2 - 1 for _ in range(4)]
        return Patch(*parts)

    return Patches(patch(n_batch, 80, 96), patch(2 * n_batch, 48, 64))


def awake(seed: int = 0) -> SwiftGenerator:
    torch.manual_seed(seed)
    generator = SwiftGenerator(FOVEAL)
    assert generator.fovea is not None
    for net in (generator.fovea.mouth, generator.fovea.eyes):
        net.last.weight.data.normal_(0, 0.1)
    return generator


def test_fresh_foveal_networks_add_nothing() -> None:
    generator, shown = SwiftGenerator(FOVEAL), patches()
    drawn = generator.draw_patches(shown, torch.randn(2, generator.n_adain))
    assert torch.equal(drawn.mouth, shown.mouth.base)
    assert torch.equal(drawn.eyes, shown.eyes.base)


def test_what_is_added_is_whole_amid_a_patch_and_nothing_at_its_edge() -> None:
    generator, shown = awake(), patches()
    drawn = generator.draw_patches(shown, torch.randn(2, generator.n_adain))
    added = (drawn.mouth - shown.mouth.base).abs().mean(dim=(0, 1))
    assert added[[0, -1]].max() < 0.02 * added[40].mean()
    assert added[:, [0, -1]].max() < 0.02 * added[40].mean()
    seen = window(80, 96, added.device)
    assert seen[40, 48] == 1 and seen.min() < 0.02


def test_every_patch_is_drawn_for_itself() -> None:
    generator, shown = awake(), patches(3)
    adain = torch.randn(3, generator.n_adain)
    whole = generator.draw_patches(shown, adain)
    alone = Patches(
        Patch(*(part[1:2] for part in shown.mouth)), Patch(*(part[2:4] for part in shown.eyes))
    )
    drawn = generator.draw_patches(alone, adain[1:2])
    torch.testing.assert_close(drawn.mouth, whole.mouth[1:2], atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn.eyes, whole.eyes[2:4], atol=1e-4, rtol=0)


def test_identity_shapes_and_own_patch_all_change_what_is_drawn() -> None:
    generator, shown = awake(), patches()
    adain = torch.randn(2, generator.n_adain)
    drawn = generator.draw_patches(shown, adain).mouth
    others = [shown.mouth._replace(**{name: -getattr(shown.mouth, name)})
              for name in ("shapes", "own", "own_shapes")]  # fmt: skip
    for other in others:
        changed = generator.draw_patches(shown._replace(mouth=other), adain).mouth
        assert (changed - drawn).abs().max() > 1e-3
    changed = generator.draw_patches(shown, torch.randn(2, generator.n_adain)).mouth
    assert (changed - drawn).abs().max() > 1e-3


def test_adain_parameters_hold_those_of_both_and_only_the_generators_own_reach_the_picture() -> (
    None
):
    generator, plain = awake(), SwiftGenerator(SMALL_SWIFT.networks)
    embedding = torch.randn(2, FOVEAL.embedding)
    adain = generator.adain_parameters(embedding)
    assert adain.shape == (2, generator.n_adain)
    assert generator.n_adain > plain.n_adain
    assert generator.fovea is not None
    own = generator.fovea.projection(embedding)
    assert torch.equal(adain[:, plain.n_adain :], own)


def test_a_card_that_states_no_foveal_networks_has_none() -> None:
    written = dataclasses.asdict(SMALL_SWIFT)
    for part, name in (("networks", "foveal_widths"), ("discriminator", "patch_widths")):
        del written[part][name]
    assert options_from_card(written) == SMALL_SWIFT
    assert build_networks(SMALL_SWIFT, 1).generator.fovea is None
    grown = with_fovea(SMALL_SWIFT)
    assert isinstance(grown.networks, SwiftOptions)
    assert grown.networks.foveal_widths and grown.discriminator.patch_widths
    assert with_fovea(SMALL_FOVEAL) == SMALL_FOVEAL
    del written["networks"]["flow_px"]
    with pytest.raises(InputError, match="flow_px is missing"):
        options_from_card(written)


def test_foveal_networks_are_counted() -> None:
    plain, foveal = (
        {cost.part: cost for cost in preset_costs(options)}["generator"]
        for options in (SMALL_SWIFT, SMALL_FOVEAL)
    )
    generator = build_networks(SMALL_FOVEAL, 1).generator
    assert generator.fovea is not None
    both = (generator.fovea.mouth, generator.fovea.eyes)
    n_more = sum(p.numel() for net in both for p in net.parameters())
    assert foveal.n_parameters == plain.n_parameters + n_more
    assert foveal.gflop > plain.gflop
