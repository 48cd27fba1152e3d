"""The presets: which networks, how wide, and the one place where they are built."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from thvideo.errors import InputError
from thvideo.models.discriminator import Discriminator
from thvideo.models.embedder import Embedder
from thvideo.models.generator import PaperGenerator, PaperOptions
from thvideo.models.swift import SwiftEmbedder, SwiftGenerator, SwiftOptions
from thvideo.weights.stated import check_fields

PresetName = Literal["paper", "swift"]


@dataclass(frozen=True)
class DiscriminatorOptions:
    """The architecture of a discriminator's convolutions; see `Discriminator`."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    attention_stride: int | None = 8
    haar: bool = False
    gain: float = 1.0
    by_cell: bool = False
    column_start: float = 0.5
    patch_widths: tuple[int, ...] = field(default=(), metadata={"unstated": True})


@dataclass(frozen=True)
class ModelOptions:
    """The architecture of all networks of a preset.

    Args:
        preset: The preset's name.
        networks: Of the embedder and the generator.
        discriminator: Of the discriminator.
    """

    preset: PresetName
    networks: PaperOptions | SwiftOptions
    discriminator: DiscriminatorOptions

    @property
    def has_fovea(self) -> bool:
        """Whether the generator draws mouth and eyes once more."""
        return isinstance(self.networks, SwiftOptions) and bool(self.networks.foveal_widths)


class Networks(NamedTuple):
    """The networks of a preset, in training mode, with fresh weights."""

    embedder: Embedder | SwiftEmbedder
    generator: PaperGenerator | SwiftGenerator
    discriminator: Discriminator


#: Of any number in an architecture, more than ten times what ours have.
_MOST = 4096

PRESETS: Mapping[str, ModelOptions] = {
    "paper": ModelOptions("paper", PaperOptions(), DiscriminatorOptions()),
    "swift": ModelOptions(
        "swift",
        SwiftOptions(foveal_widths=(32, 64, 96)),
        DiscriminatorOptions(
            (24, 64, 256),
            attention_stride=None,
            haar=True,
            gain=2.0,
            by_cell=True,
            column_start=0.0,
            patch_widths=(24, 48, 96),
        ),
    ),
}


def build_networks(options: ModelOptions, n_videos: int) -> Networks:
    """Build the networks of a preset; weights are drawn from PyTorch's global generator.

    Args:
        options: The architecture, one of `PRESETS` or a changed copy.
        n_videos: Number of training videos, which is the number of columns of W.
    """
    discriminator = Discriminator(n_videos, **vars(options.discriminator))
    return Networks(*build_drawing(options), discriminator)


def build_drawing(
    options: ModelOptions,
) -> tuple[Embedder | SwiftEmbedder, PaperGenerator | SwiftGenerator]:
    """Build the embedder and the generator alone; drawing a judge's weights takes as long again.

    Args:
        options: The architecture, one of `PRESETS` or a changed copy.
    """
    networks = options.networks
    if isinstance(networks, SwiftOptions):
        return SwiftEmbedder(networks), SwiftGenerator(networks)
    embedder = Embedder(networks.embedder_widths, attention_stride=networks.down_attention_stride)
    return embedder, PaperGenerator(networks)


def with_fovea(options: ModelOptions) -> ModelOptions:
    """Return an architecture with the preset's foveal networks, where it has none of its own."""
    own = PRESETS[options.preset]
    networks, judge = options.networks, options.discriminator
    if not isinstance(networks, SwiftOptions) or options.has_fovea:
        return options
    assert isinstance(own.networks, SwiftOptions)
    return replace(
        options,
        networks=replace(networks, foveal_widths=own.networks.foveal_widths),
        discriminator=replace(judge, patch_widths=own.discriminator.patch_widths),
    )


def options_from_card(written: Mapping[str, Any]) -> ModelOptions:
    """Read the architecture that a weights file or a run folder states.

    Args:
        written: `dataclasses.asdict` of a `ModelOptions` after a round through JSON.

    Raises:
        InputError: the preset is unknown, or a field is missing, not known here or of another
            type.
    """
    if not isinstance(written, Mapping):
        raise InputError(
            f"the card does not state an architecture but {written!r}",
            hint="make the weights again with thvideo weights export",
        )
    preset = str(written.get("preset"))
    if preset not in PRESETS:
        known = ", ".join(PRESETS)
        raise InputError(
            f"the preset {preset!r} is unknown to this version", hint=f"it knows {known}"
        )
    kinds = type(PRESETS[preset].networks), DiscriminatorOptions
    parts = written.get("networks"), written.get("discriminator")
    networks, judge = (_restored(kind, part) for kind, part in zip(kinds, parts, strict=True))
    return ModelOptions(PRESETS[preset].preset, networks, judge)


def _restored(kind: type[Any], written: Any) -> Any:
    """A dataclass from its JSON form, in which tuples have become lists."""
    names = {one.name for one in fields(kind)}
    # What weights of old do not state, they do not have.
    unstated = {one.name for one in fields(kind) if one.metadata.get("unstated")}
    stated = set(written) if isinstance(written, Mapping) else set()
    if not names - unstated <= stated <= names:
        odd = ", ".join(sorted((stated ^ names) - (unstated - stated)))
        raise InputError(
            f"the architecture is of another version of thvideo: {odd} is missing or unknown",
            hint="make the weights with this version, or use the version that made them",
        )
    made = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in written.items()})
    try:
        check_fields(made)
        _check_counts(made)
    except ValueError as error:
        raise InputError(
            f"the architecture is damaged: {error}",
            hint="make the weights again with thvideo weights export",
        ) from error
    return made


def _check_counts(made: Any) -> None:
    """Check that every width and number is one of which networks can be built.

    Raises:
        ValueError: one is not; its field is named.
    """
    for name, value in vars(made).items():
        counts = value if isinstance(value, tuple) else (value,)
        if any(type(count) is int and not 1 <= count <= _MOST for count in counts):
            raise ValueError(f"{name} cannot be {value!r}")
