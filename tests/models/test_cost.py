"""Costs: by hand for one network, and against the peers' figures for the paper's."""

import dataclasses

import pytest
import torch
from torch import nn

from thvideo.models.cost import Cost, preset_costs
from thvideo.models.generator import PaperOptions
from thvideo.models.presets import PRESETS, DiscriminatorOptions, build_networks

#: GFLOP at 256 px of a public re-implementation of the paper's networks.
PEER_GENERATOR, PEER_EMBEDDER = 101.6, 31.8


@pytest.fixture(scope="module")
def costs() -> dict[str, Cost]:
    return {cost.part: cost for cost in preset_costs(PRESETS["paper"])}


def test_the_papers_networks_cost_what_a_re_implementation_costs(costs) -> None:
    assert costs["generator"].gflop == pytest.approx(PEER_GENERATOR, rel=0.15)
    assert costs["embedder"].gflop == pytest.approx(PEER_EMBEDDER, rel=0.15)
    assert costs["embedder"].n_parameters == pytest.approx(15e6, rel=0.02)
    assert costs["projection"].n_parameters == 512 * 15104 + 15104


def test_convolutions_are_counted_as_by_hand() -> None:
    """One halving block of 8 channels on 6 at 16 px."""
    options = dataclasses.replace(
        PRESETS["paper"],
        networks=PaperOptions(16, (8,), (8,), n_same=0, attention=False),
        discriminator=DiscriminatorOptions((8,), attention_stride=None),
    )
    embedder = next(cost for cost in preset_costs(options) if cost.part == "embedder")
    multiply_adds = 16 * 16 * 9 * (6 * 8 + 8 * 8) + 8 * 8 * 6 * 8
    assert embedder.gflop == pytest.approx(2 * multiply_adds / 1e9, rel=1e-9)
    assert embedder.n_parameters == 9 * (6 * 8 + 8 * 8) + 6 * 8 + 3 * 8


def test_half_the_side_costs_about_a_quarter(costs) -> None:
    half = {cost.part: cost.gflop for cost in preset_costs(PRESETS["paper"], 128)}
    assert 0.2 < half["generator"] / costs["generator"].gflop < 0.26
    assert half["projection"] == costs["projection"].gflop


def test_the_size_of_the_data_is_not_in_the_discriminators_count(costs) -> None:
    with torch.device("meta"):
        discriminator: nn.Module = build_networks(PRESETS["paper"], 7).discriminator
    total = sum(parameter.numel() for parameter in discriminator.parameters())
    assert costs["discriminator"].n_parameters == total - 7 * 512
