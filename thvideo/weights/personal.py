"""A generator that was fine-tuned on one person: one file, its card inside.

Unlike weights that are shared, it is an artifact's payload: the artifact has its checksum, and
the same inputs give the same bytes, so nothing in it tells the time.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thvideo.errors import InputError, reason_of
from thvideo.reading import json_of
from thvideo.weights.cards import Card

#: Its usual name.
PERSONAL = "personal.safetensors"

_GENERATOR, _ADAIN, _CARD = "generator.", "adain", "thvideo"


@dataclass(frozen=True)
class PersonalWeights:
    """A person's generator.

    Args:
        generator: its tensors by name.
        adain: `[n_adain]`: `psi'`, which takes the place of what is projected from an embedding.
        card: what it is: the preset, its options, the style of landmark images, steps.
    """

    generator: dict[str, Tensor]
    adain: Tensor
    card: Card


def save_personal(path: Path, personal: PersonalWeights) -> None:
    """Write a person's generator; whoever calls publishes the file whole or not at all."""
    tensors = {f"{_GENERATOR}{name}": value for name, value in personal.generator.items()}
    tensors[_ADAIN] = personal.adain
    owned = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(owned, path, {_CARD: json.dumps(personal.card, ensure_ascii=False, sort_keys=True)})


def load_personal(path: Path) -> PersonalWeights:
    """Read what `save_personal` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds no person's generator.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            card = json_of((file.metadata() or {})[_CARD])
        adain = tensors.pop(_ADAIN)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} holds no fine-tuned generator ({reason_of(error)})",
            hint="remove it from the workspace; the next run makes it again",
        ) from error
    generator = {name.removeprefix(_GENERATOR): value for name, value in tensors.items()}
    return PersonalWeights(generator, adain, card)
