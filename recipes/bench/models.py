"""The networks of both presets, and the convolutions that say what the machine could do.

Weights are random: speed does not depend on them. Networks run as thvideo runs them, with
channels last in memory and, for bf16, under autocast.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from recipes.bench.rounds import Probe, Quantity, looped
from thvideo.models.cost import preset_costs
from thvideo.models.precision import Precision, arithmetic
from thvideo.models.presets import ModelOptions, Networks, build_networks
from thvideo.models.shown import Shown
from thvideo.synthesis.networks import DrawingNetworks

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
PARTS: tuple[Literal["generator", "embedder"], ...] = ("generator", "embedder")

#: Points along a side of a draft's flow.
FLOW_POINTS = 33

#: The quantity that all ratios are to.
BASELINE = "paper generator, fp32, 1 at once"

#: What is emulated and would take longer than this is left out.
PATIENCE_S = 5.0

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Convolution(NamedTuple):
    """A convolution of 3 x 3 pixels, as many channels out as in."""

    batch: int
    channels: int
    side: int

    @property
    def gflop(self) -> float:
        """Its arithmetic, in 10^9 operations."""
        return 2 * 9 * self.batch * self.channels**2 * self.side**2 / 1e9


#: The fastest of them is the machine's peak.
CONVOLUTIONS = (
    Convolution(1, 128, 64),
    Convolution(8, 64, 64),
    Convolution(8, 128, 64),
    Convolution(8, 256, 32),
    Convolution(8, 512, 16),
)


class Planned(NamedTuple):
    """What will be measured, and what will not.

    Attributes:
        probes: The turns of a round.
        left_out: What is missing, and why.
    """

    probes: list[Probe]
    left_out: list[str]


class Call(NamedTuple):
    """Something to time.

    Attributes:
        quantity: What it is.
        run: Returns when the work is done.
        n_units: How many units it does.
    """

    quantity: Quantity
    run: Callable[[], None]
    n_units: int = 1


def baseline_of(calls: Sequence[Call]) -> tuple[Quantity, Probe]:
    """Return what all ratios are to: one frame of the paper preset's generator, alone, in fp32."""
    [call] = [call for call in calls if call.quantity.name == BASELINE]
    return call.quantity, looped(*call)


def planned(calls: Sequence[Call], device: torch.device) -> Planned:
    """Plan the networks and convolutions; the baseline, which every round has, is not among them.

    Args:
        calls: As `network_calls` returns them.
        device: Where.
    """
    probes, left_out = [], []
    limit_gflop = _bf16_gflop_s(device) * PATIENCE_S
    for call in [*calls, *_convolution_calls(device)]:
        quantity = call.quantity
        assert quantity.gflop is not None
        if quantity.is_emulated and quantity.gflop * call.n_units > limit_gflop:
            left_out.append(f"{quantity.name}: emulated, more than {PATIENCE_S:.0f} s a call")
        elif quantity.name != BASELINE:
            probes.append(looped(*call))
    return Planned(probes, left_out)


def network_calls(
    presets: Mapping[str, ModelOptions],
    device: torch.device,
    batches: Sequence[int] = (1, 8),
) -> list[Call]:
    """Build the networks and return their calls.

    Args:
        presets: The architectures by name.
        device: Where.
        batches: Numbers of pictures at once.
    """
    calls = []
    for preset, options in presets.items():
        costs = {cost.part: cost.gflop for cost in preset_costs(options)}
        torch.manual_seed(0)
        networks = build_networks(options, n_videos=1)
        for network in networks:
            network.eval().requires_grad_(False)
            # torch's types know no memory format beside a device.
            network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in PARTS:
            for precision in PRECISIONS:
                for n_pictures in batches:
                    quantity = Quantity(
                        "models",
                        f"{preset} {part}, {precision}, {n_pictures} at once",
                        "frame" if part == "generator" else "picture",
                        costs[part],
                        precision,
                        precision == "bf16" and not multiplies_bf16(device),
                    )
                    run = run_of(networks, part, n_pictures, options.networks.size_px)
                    calls.append(Call(quantity, called(run, precision, device), n_pictures))
    return calls


def run_of(
    networks: Networks | DrawingNetworks, part: str, n_pictures: int, side: int
) -> Callable[[], object]:
    """Return a call of one network on pictures of noise of a side."""
    embedder, generator = networks.embedder, networks.generator
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(0)
    picture = torch.rand((n_pictures, 3, side, side), generator=rng).to(device) * 2 - 1
    picture = picture.contiguous(memory_format=torch.channels_last)
    if part == "embedder":
        return lambda: embedder(picture, picture)
    flow = 0.1 * torch.randn((n_pictures, FLOW_POINTS, FLOW_POINTS, 2), generator=rng).to(device)
    shown = Shown(picture, picture, picture, flow, picture, 0.5 * picture[:, :1] + 0.5)
    with torch.inference_mode():
        adain = generator.adain_parameters(embedder(picture[:1], picture[:1]))
    return lambda: generator(shown, adain.expand(n_pictures, -1))


def _convolution_calls(device: torch.device) -> Iterator[Call]:
    layouts = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
    for precision in PRECISIONS:
        for shape in CONVOLUTIONS:
            for layout, memory_format in layouts.items():
                quantity = Quantity(
                    "models",
                    f"convolution, {precision}, {shape.batch} x {shape.channels} x "
                    f"{shape.side} x {shape.side}, {layout}",
                    "convolution",
                    shape.gflop,
                    precision,
                    precision == "bf16" and not multiplies_bf16(device),
                )
                run = _convolution_run(shape, _DTYPES[precision], memory_format, device)
                yield Call(quantity, called(run, "fp32", device))


def _convolution_run(
    shape: Convolution, dtype: torch.dtype, memory_format: torch.memory_format, device: torch.device
) -> Callable[[], Tensor]:
    layer = nn.Conv2d(shape.channels, shape.channels, 3, padding=1, bias=False)
    layer = layer.to(device, dtype).requires_grad_(False)
    layer.to(memory_format=memory_format)  # type: ignore[call-overload]
    pixels = torch.randn(shape.batch, shape.channels, shape.side, shape.side)
    pixels = pixels.to(device, dtype).contiguous(memory_format=memory_format)
    return lambda: layer(pixels)


def _bf16_gflop_s(device: torch.device) -> float:
    """How fast a small convolution is in bf16."""
    shape = Convolution(1, 64, 32)
    run = _convolution_run(shape, torch.bfloat16, torch.channels_last, device)
    quantity = Quantity("models", "first look", "convolution", shape.gflop)
    [seconds] = looped(quantity, called(run, "fp32", device)).read().values()
    return shape.gflop / seconds


def called(
    run: Callable[[], object], precision: Precision, device: torch.device
) -> Callable[[], None]:
    """Return a call in an arithmetic, which ends when the device has done the work."""

    def call() -> None:
        with torch.inference_mode(), arithmetic(precision, device):
            run()
        wait(device)

    return call


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bf16, whatever they are worth."""
    if device.type == "cuda":
        # It answers for the device that is current.
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # No public name tells, and this one may go: the answer is but a mark in a table.
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and asked is not None and bool(asked())


def wait(device: torch.device) -> None:
    """Return when the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
