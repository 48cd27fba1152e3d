"""The networks of a weights file, ready to draw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thvideo.draft.cast import cast_of, without_cast
from thvideo.errors import InputError
from thvideo.landmarks.draw import DRAW_STYLE, draw_landmarks
from thvideo.models.embedder import Embedder
from thvideo.models.generator import PaperGenerator
from thvideo.models.presets import build_drawing, options_from_card
from thvideo.models.spectral import fold_spectral_norms, folded
from thvideo.models.swift import SwiftEmbedder, SwiftGenerator
from thvideo.shapes import F32Array, F64Array, U8Array, check_shape
from thvideo.weights.load import load_weights
from thvideo.weights.personal import load_personal

#: Source crops that are embedded at once.
_BATCH = 8


@dataclass(frozen=True)
class DrawingNetworks:
    """Embedder and generator of one preset, for inference.

    Args:
        embedder: Crops and landmark images to identity embeddings.
        generator: Draws.
        size_px: Side of the pictures that they were trained on.
        device: Where they are.
    """

    embedder: Embedder | SwiftEmbedder
    generator: PaperGenerator | SwiftGenerator
    size_px: int
    device: torch.device


def load_networks(weights: Path, preset: str, device: torch.device) -> DrawingNetworks:
    """Load the networks of a weights file.

    Args:
        weights: A file as ``thvideo weights export`` writes it.
        preset: What it has to be of: "swift" or "paper".
        device: Where to put them.

    Raises:
        InputError: The file is missing, damaged, or of another preset or version.
    """
    parts, card = load_weights(weights, preset, DRAW_STYLE)
    options = options_from_card(card["options"])
    embedder, generator = build_drawing(options)
    for name, network in (("embedder", embedder), ("generator", generator)):
        try:
            network.load_state_dict(parts[name])
        except RuntimeError as error:
            raise InputError(
                f"the {name} in {weights} is damaged or of another version of thvideo",
                hint="use the version that made it, or train others: thvideo metatrain --help",
            ) from error
        fold_spectral_norms(network.eval()).requires_grad_(False)
        # torch's types know no memory format beside a device.
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # They fit pictures of the side that they saw last, whatever the preset's own.
    return DrawingNetworks(embedder, generator, int(card["size_px"]), device)


def become_personal(networks: DrawingNetworks, path: Path) -> Tensor:
    """Put a fine-tuned generator in the place of the meta-learned one.

    Args:
        networks: Of the preset that was fine-tuned; changed in place.
        path: What the finetune stage made.

    Returns:
        ``[n_adain]``: its AdaIN parameters ``psi'``.

    Raises:
        InputError: The file is missing, damaged, or of another architecture or version.
    """
    personal = load_personal(path)
    style = personal.card.get("draw_style")
    if style != DRAW_STYLE:
        raise InputError(
            f"{path} was fine-tuned on landmark images of style {style}, and this version draws "
            f"style {DRAW_STYLE}",
            hint="run again with --force finetune",
        )
    try:
        networks.generator.load_state_dict(folded(personal.generator))
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"{path} was fine-tuned from other weights", hint="run again with --force finetune"
        ) from error
    return personal.adain.to(networks.device)


def embed_crops(networks: DrawingNetworks, crops: U8Array, landmarks: F32Array) -> F32Array:
    """Return the identity embedding of a person: the mean over the source crops.

    Args:
        networks: Of a preset.
        crops: ``[K, S, S, 3]`` RGB.
        landmarks: ``[K, 70, 2]`` in pixels of the crops.

    Returns:
        ``[N]``.
    """
    sizes = check_shape(crops, "K S S 3")
    check_shape(landmarks, "K 70 2", K=sizes["K"])
    side = networks.size_px
    if isinstance(networks.generator, SwiftGenerator):
        seen = zip(crops, landmarks, strict=True)
        plain = [without_cast(crop[None], cast_of(crop, points)) for crop, points in seen]
        crops = np.concatenate(plain)
    total = torch.zeros(0)
    with torch.inference_mode():
        for start in range(0, sizes["K"], _BATCH):
            part = slice(start, start + _BATCH)
            images = small_pictures(signed(crops[part], networks.device), side)
            maps = landmark_images(landmarks[part], sizes["S"], side, networks.device)
            one_by_one = networks.embedder(images, maps).float().cpu()
            total = one_by_one.sum(0) + (total if start else 0)
    embedding: F32Array = (total / sizes["K"]).numpy().astype(np.float32)
    return embedding


def signed(pictures: U8Array, device: torch.device) -> Tensor:
    """Turn pictures ``[B, S, S, 3]`` in 0..255 into ``[B, 3, S, S]`` in -1..1 on a device."""
    on_device = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    # Channels last in memory already: the convolutions want it so.
    return on_device.permute(0, 3, 1, 2).float() / 127.5 - 1


def small_pictures(pictures: Tensor, side_px: int) -> Tensor:
    """Bring ``[B, C, S, S]`` to ``[B, C, side, side]``: averaged where that is smaller."""
    if pictures.shape[-1] == side_px:
        return pictures
    mode = "area" if pictures.shape[-1] > side_px else "bicubic"
    return torch.nn.functional.interpolate(pictures, (side_px, side_px), mode=mode)


def landmark_images(
    points: F32Array | F64Array, size_px: int, side_px: int, device: torch.device
) -> Tensor:
    """Draw landmarks of crops of ``size_px`` as images ``[B, 3, side, side]`` in -1..1."""
    return signed(
        draw_landmarks(resized_points(points, size_px, side_px), (side_px, side_px)), device
    )


def resized_points(points: F32Array | F64Array, size_px: int, side_px: int) -> F64Array:
    """Bring points ``[..., 2]`` of crops of ``size_px`` to those of ``side_px``."""
    return (np.asarray(points, np.float64) + 0.5) * (side_px / size_px) - 0.5
