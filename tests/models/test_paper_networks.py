"""The paper preset: parameter counts, structure, spectral norm, gradients, determinism."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from thvideo.errors import InputError
from thvideo.models.embedder import Embedder
from thvideo.models.generator import PaperGenerator, PaperOptions
from thvideo.models.presets import PRESETS, Networks, build_networks, options_from_card
from thvideo.models.shown import Shown
from thvideo.models.spectral import SpectralNorm, settle_spectral_norms

SMALL = PaperOptions(
    size_px=64, embedder_widths=(8, 16, 16, 16), widths=(8, 8, 16), n_same=2, attention=True
)
SMALL_PRESET = dataclasses.replace(
    PRESETS["paper"],
    networks=SMALL,
    discriminator=dataclasses.replace(
        PRESETS["paper"].discriminator, widths=(8, 16, 16), attention_stride=2
    ),
)


def _shown(maps: torch.Tensor) -> Shown:
    nothing = torch.full_like(maps, torch.nan)
    return Shown(
        maps, nothing, nothing, torch.full((len(maps), 4, 4, 2), torch.nan), nothing, nothing
    )


def _small() -> Networks:
    torch.manual_seed(0)
    return build_networks(SMALL_PRESET, 3)


def _wake_attention(network: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("gamma"):
                parameter.fill_(0.5)


def _count(network: nn.Module, without: str = "no such part") -> int:
    return sum(p.numel() for name, p in network.named_parameters() if without not in name)


@pytest.fixture(scope="module")
def full() -> Networks:
    """The full preset without values: counted and looked at, not run."""
    with torch.device("meta"):
        return build_networks(PRESETS["paper"], 1)


def test_parameter_counts_are_the_papers_within_two_percent(full: Networks) -> None:
    """E 15 M and D 20 M as recalled from the paper; 35.9 M for G as a co-author's code gives.

    The paper is recalled to say 38 M for G's convolutions. No reading of its text that was tried
    reaches it with blocks that give E and D their counts: the nearest is 4 instead of 5 blocks
    at the smallest size together with P, 37.9 M.
    """
    assert _count(full.embedder) == pytest.approx(15e6, rel=0.02)
    assert _count(full.discriminator, without="columns") == pytest.approx(20e6, rel=0.02)
    assert _count(full.generator, without="projection") == pytest.approx(35.9e6, rel=0.02)


def test_without_attention_the_counts_are_those_of_the_co_authors_code() -> None:
    options = PaperOptions(attention=False)
    with torch.device("meta"):
        embedder = Embedder(options.embedder_widths, attention_stride=None)
        generator = PaperGenerator(options)
        four = PaperGenerator(dataclasses.replace(options, n_same=4))
    assert _count(embedder) == pytest.approx(14.8e6, rel=0.005)
    assert _count(generator, without="projection") == pytest.approx(35.9e6, rel=0.005)
    assert _count(four, without="projection") == pytest.approx(31.2e6, rel=0.005)


def test_there_are_about_fifteen_thousand_adain_parameters(full: Networks) -> None:
    assert full.generator.adain_parameters(torch.zeros(2, 512, device="meta")).shape == (2, 15104)


def test_attention_stands_at_32_on_the_way_down_and_at_64_on_the_way_up(full: Networks) -> None:
    seen: list[tuple[int, ...]] = []
    maps = torch.zeros(1, 3, 256, 256, device="meta")
    generator = full.generator
    hooks = [
        attention.register_forward_hook(lambda _m, given, _out: seen.append(given[0].shape[2:]))
        for network in full
        for name, attention in network.named_modules()
        if name.endswith(("attention.2", "attention.6"))
    ]
    with torch.no_grad():
        w = full.embedder(maps, maps)
        generator(_shown(maps), generator.adain_parameters(w))
        full.discriminator(maps, maps, w)
    for hook in hooks:
        hook.remove()
    assert seen == [(32, 32), (32, 32), (64, 64), (32, 32)]


def test_every_convolution_and_linear_layer_has_largest_singular_value_one() -> None:
    networks = _small()
    for network in networks:
        settle_spectral_norms(network, 150)
        network.eval()
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
                assert largest == pytest.approx(1.0, abs=0.01), name


def test_at_construction_singular_values_are_already_near_one() -> None:
    layers = [m for m in _small().embedder.modules() if isinstance(m, nn.Conv2d)]
    largest = [torch.linalg.svdvals(m.weight.detach().flatten(1))[0].item() for m in layers]
    np.testing.assert_allclose(largest, 1.0, atol=0.1)


def test_all_layers_of_the_full_preset_have_spectral_norm(full: Networks) -> None:
    for network in full:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        normed = [m for m in network.modules() if isinstance(m, SpectralNorm)]
        assert len(layers) == len(normed) > 10


def test_the_embedder_sums_over_the_picture_and_has_no_norm() -> None:
    embedder = _small().embedder.eval()
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in embedder.modules())
    with torch.no_grad():
        sums = [embedder(*[torch.full((1, 3, 64, s), 0.5)] * 2).sum() for s in (64, 128, 192)]
    assert (sums[2] - sums[1]).item() == pytest.approx((sums[1] - sums[0]).item(), rel=1e-3)
    assert sums[1] > 1.5 * sums[0] > 0


def test_the_generator_looks_at_the_landmark_image_and_the_embedding_alone() -> None:
    """All else that it is shown is NaN here."""
    networks = _small()
    maps = torch.rand(2, 3, 64, 64) * 2 - 1
    adain = networks.generator.adain_parameters(torch.rand(2, 16) * 9)
    drawn = networks.generator.eval()(_shown(maps), adain)
    assert drawn.warped is None
    assert drawn.flow is None
    assert drawn.image.shape == (2, 3, 64, 64)
    assert drawn.image.abs().max() <= 1
    others = networks.generator.adain_parameters(torch.rand(2, 16) * 9)
    assert not torch.allclose(networks.generator(_shown(maps), others).image, drawn.image)


def test_rows_stay_rows_and_columns_stay_columns() -> None:
    """A map that is not square gives a picture of its shape; a turned one is not the same."""
    generator = _small().generator.eval()
    generator.up_attention.clear()
    generator.down_attention.clear()
    maps = torch.rand(1, 3, 32, 64) * 2 - 1
    adain = generator.adain_parameters(torch.zeros(1, 16))
    with torch.no_grad():
        assert generator(_shown(maps), adain).image.shape == (1, 3, 32, 64)
        square = torch.rand(1, 3, 64, 64) * 2 - 1
        changed = square.clone()
        changed[:, :, 8, 48] *= -1  # row 8, column 48
        moved = generator(_shown(changed), adain).image - generator(_shown(square), adain).image
    row, column = divmod(int(moved.abs().sum(dim=1)[0].argmax()), 64)
    assert abs(row - 8) < 16
    assert abs(column - 48) < 16


def test_gradients_reach_every_parameter_of_embedder_and_generator() -> None:
    networks = _small()
    for network in networks:
        _wake_attention(network)
    torch.manual_seed(1)
    pictures, maps = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64) * 2 - 1
    adain = networks.generator.adain_parameters(networks.embedder(pictures, maps))
    image = networks.generator(_shown(maps), adain).image
    (image - pictures).abs().mean().backward()
    for network in (networks.embedder, networks.generator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_the_same_seed_gives_the_same_weights_and_the_same_picture() -> None:
    maps = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    images = []
    for _ in range(2):
        networks = _small()
        adain = networks.generator.adain_parameters(networks.embedder(maps, maps))
        images.append(networks.generator(_shown(maps), adain).image)
    assert torch.equal(*images)


def test_bf16_autocast_and_channels_last_stay_near_float32() -> None:
    networks = _small()
    for network in networks:
        network.eval().to(memory_format=torch.channels_last)
    torch.manual_seed(1)
    maps = (torch.rand(2, 3, 64, 64) * 2 - 1).to(memory_format=torch.channels_last)

    def draw() -> torch.Tensor:
        adain = networks.generator.adain_parameters(networks.embedder(maps, maps))
        return networks.generator(_shown(maps), adain).image

    with torch.no_grad():
        wanted = draw()
        with torch.autocast("cpu", torch.bfloat16):
            got = draw()
    assert got.dtype == torch.float32
    assert (got - wanted).abs().mean() < 0.04


def test_a_sample_is_drawn_the_same_alone_and_in_a_batch() -> None:
    networks = _small()
    generator = networks.generator.eval()
    maps, e = torch.rand(3, 3, 64, 64), torch.rand(3, 16)
    with torch.no_grad():
        batch = generator(_shown(maps), generator.adain_parameters(e)).image
        alone = generator(_shown(maps[1:2]), generator.adain_parameters(e[1:2])).image
    torch.testing.assert_close(batch[1:2], alone, atol=1e-4, rtol=1e-4)


def test_options_survive_the_way_through_json() -> None:
    for options in (*PRESETS.values(), SMALL_PRESET):
        assert options_from_card(json.loads(json.dumps(dataclasses.asdict(options)))) == options


def test_options_of_another_version_are_refused_with_the_field_that_differs() -> None:
    written = json.loads(json.dumps(dataclasses.asdict(PRESETS["paper"])))
    written["networks"]["n_heads"] = written["networks"].pop("n_same")
    with pytest.raises(InputError, match="n_heads, n_same"):
        options_from_card(written)
    with pytest.raises(InputError, match="'slow' is unknown"):
        options_from_card({**written, "preset": "slow"})
