"""Reads the weights of a generator, and says what to do where they do not fit."""

from pathlib import Path
from typing import TYPE_CHECKING

from thvideo.errors import InputError
from thvideo.reading import expanded
from thvideo.weights.cards import (
    Card,
    card,
    card_inside,
    read_card,
    shipped_names,
    shipped_weight,
    verify_file,
)

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("embedder", "generator", "discriminator")

_MAKE = "thvideo metatrain --data DATASET -o RUN, then thvideo weights export RUN -o FILE"


def load_weights(
    name_or_path: str | Path, preset: str | None = None, draw_style: int | None = None
) -> tuple[dict[str, dict[str, "Tensor"]], Card]:
    """Load the weights of a generator and what belongs to it.

    Args:
        name_or_path: a shipped name, or a `.safetensors` file as `thvideo weights export`
            writes it.
        preset: the preset that they must be of, such as `swift`; any if None.
        draw_style: version of the landmark image that they must have been trained on; any if
            None.

    Returns:
        The tensors of each part (`embedder`, `generator`, `discriminator`) by their names in
        it, floating ones as float32, and the card.

    Raises:
        InputError: they are missing, damaged, of another preset or another version, or hold no
            generator. The hint says how to get others.
    """
    from thvideo.weights.pth import read_tensors

    path = _file_of(name_or_path)
    verify_file(path)
    found = check_generator(path, preset)
    if draw_style is not None and found["draw_style"] != draw_style:
        raise InputError(
            f"{path} was trained on landmark images of style {found['draw_style']}, and this "
            f"version draws style {draw_style}",
            hint=_others(preset),
        )
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for key, value in read_tensors(path).items():
        part, _, name = key.partition(".")
        if part not in parts or not name:
            raise InputError(
                f"{path} holds {key!r}, which belongs to no part", hint=_others(preset)
            )
        parts[part][name] = value.float() if value.is_floating_point() else value
    if missing := [part for part in PARTS[:2] if not parts[part]]:
        raise InputError(f"{path} lacks the {' and the '.join(missing)}", hint=_others(preset))
    return parts, found


def check_generator(path: Path, preset: str | None = None) -> Card:
    """Read the card of a generator's weights, loading none of its tensors.

    Args:
        path: the file.
        preset: what they must be of; any if None.

    Returns:
        The card. What lies inside the file wins: its digest covers it, and no key that names the
        file would notice a card that was edited beside it.

    Raises:
        InputError: the file is damaged, holds no generator, or one of another preset.
    """
    found = read_card(path) | card_inside(path)
    if "preset" not in found or "draw_style" not in found:
        what = found.get("what", "its card does not say what")
        raise InputError(f"{path} holds no generator ({what})", hint=_others(preset))
    size_px = found.get("size_px")
    if "options" not in found or type(size_px) is not int or size_px < 1:
        said = "its architecture" if "options" not in found else "the side of its pictures"
        raise InputError(f"the card of {path} does not say {said}", hint=_others(preset))
    if preset is not None and found["preset"] != preset:
        raise InputError(
            f"{path} was trained for the preset {found['preset']!r}, not {preset!r}",
            hint=f"pass --generator {found['preset']}; {_others(preset)}",
        )
    return found


def _file_of(name_or_path: str | Path) -> Path:
    path = expanded(name_or_path)
    if str(name_or_path) in shipped_names():
        return shipped_weight(str(name_or_path))
    if path.is_file():
        return path
    raise InputError(
        f"there are no weights at {path}, and none of that name are shipped", hint=_others(None)
    )


def _others(preset: str | None) -> str:
    """What gets or makes weights that fit."""
    fitting = [name for name in shipped_names() if _is_of(name, preset)]
    if fitting:
        return f"thvideo weights ls lists what ships: {', '.join(fitting)}; or make some: {_MAKE}"
    return f"none that fit are shipped (thvideo weights ls); make some: {_MAKE}"


def _is_of(name: str, preset: str | None) -> bool:
    try:
        found = card(name)
    except InputError:
        return False
    return "preset" in found and preset in (None, found["preset"])
