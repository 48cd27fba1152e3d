"""The swift networks: they begin at the draft, and every part of them learns."""

import pytest
import torch
from torch import Tensor

from tests.training.drawn_faces import SMALL_SWIFT
from thvideo.models.shown import Shown
from thvideo.models.swift import SwiftEmbedder, SwiftGenerator, SwiftOptions, shrunk
from thvideo.models.swift_blocks import modulate

assert isinstance(SMALL_SWIFT.networks, SwiftOptions)
SMALL = SMALL_SWIFT.networks


def shown(n_batch: int = 2, size_px: int = 64, seed: int = 0) -> Shown:
    generator = torch.Generator().manual_seed(seed)

    def picture() -> Tensor:
        return torch.rand(n_batch, 3, size_px, size_px, generator=generator) * 2 - 1

    flow = torch.randn(n_batch, 9, 9, 2, generator=generator) * 0.05
    no_head = torch.zeros(n_batch, 1, size_px, size_px)
    return Shown(picture(), picture(), picture(), flow, picture(), no_head)


#: Of pictures of 64 pixels, without the rim that always stays.
INSIDE = (..., slice(8, -8), slice(8, -8))


def staying(generator: SwiftGenerator, logit: float) -> SwiftGenerator:
    """Let all of the picture stay still more or less."""
    with torch.no_grad():
        assert generator.flow.last.bias is not None
        generator.flow.last.bias[2] = logit
    return generator


def test_an_untrained_generator_draws_the_draft_and_a_little_of_what_was_there() -> None:
    generator, what = SwiftGenerator(SMALL), shown()
    drawn = generator(what, generator.adain_parameters(torch.randn(2, SMALL.embedding)))
    assert drawn.warped is not None
    assert torch.equal(drawn.image, drawn.warped)
    assert drawn.stays is not None
    share = drawn.stays[0, 0, 16, 16]
    assert 0 < share < 0.02
    expected = torch.lerp(what.draft, what.still, share)
    torch.testing.assert_close(drawn.image[INSIDE], expected[INSIDE], atol=2e-4, rtol=0)
    drawn = staying(generator, -9.0)(what, torch.zeros(2, generator.n_adain))
    torch.testing.assert_close(drawn.image[INSIDE], what.draft[INSIDE], atol=2e-4, rtol=0)


def test_the_border_is_always_the_sources_own() -> None:
    generator, what = staying(SwiftGenerator(SMALL), -9.0), shown()
    with torch.no_grad():
        generator.last.weight.normal_()
    image = generator(what, torch.randn(2, generator.n_adain)).image
    border = torch.ones(64, 64, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    torch.testing.assert_close(image[..., border], what.still[..., border], atol=1e-5, rtol=0)
    assert (image[INSIDE] - what.still[INSIDE]).abs().mean() > 0.1


def test_what_stays_still_is_the_source_to_the_bit_whatever_is_added() -> None:
    generator, what = staying(SwiftGenerator(SMALL), 9.0), shown()
    with torch.no_grad():
        generator.last.weight.normal_()
    drawn = generator(what, torch.randn(2, generator.n_adain))
    assert drawn.stays is not None
    assert drawn.stays.shape == (2, 1, 32, 32)
    assert torch.equal(drawn.image, what.still)
    other = staying(generator, -9.0)(what, torch.randn(2, generator.n_adain))
    assert not torch.equal(other.image, what.draft)


def test_a_head_that_was_there_is_not_seen_where_it_was() -> None:
    generator, what = staying(SwiftGenerator(SMALL), 9.0), shown()
    head = torch.zeros(2, 1, 64, 64)
    head[..., :32, :] = 1
    drawn = generator(what._replace(still_head=head), torch.zeros(2, generator.n_adain))
    upper = (..., slice(8, 30), slice(8, -8))
    torch.testing.assert_close(drawn.image[upper], what.draft[upper])
    assert torch.equal(drawn.image[..., 34:, :], what.still[..., 34:, :])


def test_adain_brings_each_channel_to_its_mean_and_deviation() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 16, 16) * torch.tensor([0.5, 2.0, 30.0])[:, None, None] + 4
    scale, shift = torch.randn(2, 3), torch.randn(2, 3)
    found = modulate(features, scale, shift)
    torch.testing.assert_close(found.mean((2, 3)), shift, atol=1e-4, rtol=0)
    deviation = found.std((2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), atol=1e-4, rtol=5e-3)
    # A flat map has nothing to scale.
    assert torch.isfinite(modulate(torch.ones(1, 3, 4, 4), scale[:1], shift[:1])).all()
    halved = modulate(features.bfloat16(), scale, shift).float()
    torch.testing.assert_close(halved, found, atol=0.15, rtol=0.05)


def test_every_parameter_has_its_place_in_the_identity() -> None:
    generator = SwiftGenerator(SMALL)
    with torch.no_grad():
        generator.last.weight.normal_()
    adain = generator.adain_parameters(torch.randn(2, SMALL.embedding)).detach().requires_grad_()
    assert adain.shape == (2, generator.n_adain)
    generator(shown(), adain).image.square().sum().backward()
    assert adain.grad is not None
    assert (adain.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("size_px", [64, 96])
def test_pictures_of_other_sides_keep_their_size(size_px: int) -> None:
    generator, embedder = SwiftGenerator(SMALL), SwiftEmbedder(SMALL)
    what = shown(size_px=size_px)
    adain = generator.adain_parameters(embedder(what.draft, what.source_map))
    drawn = generator(what, adain)
    assert drawn.image.shape == (2, 3, size_px, size_px)
    assert drawn.flow is not None
    assert drawn.flow.shape == (2, 32, 32, 2)
    assert generator.correction(what.draft, what.target_map, adain).shape == what.draft.shape


def test_a_learned_flow_moves_the_draft() -> None:
    generator, what = staying(SwiftGenerator(SMALL), -9.0), shown()
    smooth = torch.linspace(-1, 1, 64).expand(2, 3, 64, 64)
    what = what._replace(draft=smooth)
    with torch.no_grad():
        assert generator.flow.last.bias is not None
        generator.flow.last.bias[0] = 1.0  # in its own unit, a tenth of half a side
    drawn = generator(what, generator.adain_parameters(torch.zeros(2, SMALL.embedding)))
    # Fetched from a twentieth of the side further right.
    part = (..., slice(8, -8), slice(8, 50))
    torch.testing.assert_close(drawn.image[part], smooth[part] + 0.1, atol=2e-3, rtol=0)


def test_all_parameters_learn_within_two_steps() -> None:
    torch.manual_seed(1)
    generator, embedder, what = SwiftGenerator(SMALL), SwiftEmbedder(SMALL), shown()
    parameters = dict(generator.named_parameters()) | dict(embedder.named_parameters("embedder"))
    optimizer = torch.optim.SGD(parameters.values(), 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        adain = generator.adain_parameters(embedder(what.draft, what.source_map))
        (generator(what, adain).image - what.target_map).abs().mean().backward()
        optimizer.step()
    without = [n for n, p in parameters.items() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("side_px", [64, 32, 16])
def test_shrinking_averages(side_px: int) -> None:
    picture = torch.rand(1, 3, 64, 64)
    cells = picture.unflatten(2, (side_px, -1)).unflatten(4, (side_px, -1))
    torch.testing.assert_close(shrunk(picture, side_px), cells.mean((3, 5)))


def test_sides_that_are_no_multiple_are_shrunk_too() -> None:
    ramp = torch.linspace(0, 1, 96).expand(1, 1, 96, 96)
    assert shrunk(ramp, 64).shape == (1, 1, 64, 64)
    torch.testing.assert_close(shrunk(ramp, 64).mean(), ramp.mean())
    thirds = ramp.unflatten(3, (32, 3)).mean(4)
    torch.testing.assert_close(shrunk(ramp, 32), thirds[:, :, :32])


def test_embeddings_tell_pictures_apart_from_the_start() -> None:
    """The fault this mends: embeddings started equal to within a hundredth, and stayed so."""
    torch.manual_seed(0)
    embedder = SwiftEmbedder(SwiftOptions())
    pictures = 0.5 * torch.randn(8, 3, 8, 8).clamp(-1, 1)
    pictures = torch.nn.functional.interpolate(pictures, 128, mode="bilinear")
    with torch.no_grad():
        embeddings = embedder(pictures, -torch.ones(8, 3, 128, 128))
    assert embeddings.std(dim=0).mean() > 0.2 * embeddings.abs().mean()
