"""From a run of meta-training to one file that travels: halved, and with a card of its making."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thvideo.errors import InputError, UsageError, reason_of
from thvideo.reading import json_of
from thvideo.training.checkpoint import STATE, WEIGHTS, checkpoint_names, checkpoint_place
from thvideo.training.meta_options import trained_at
from thvideo.training.run_folder import METRICS, OPTIONS
from thvideo.weights.cards import Card, is_card, is_weights
from thvideo.weights.load import PARTS
from thvideo.weights.pth import read_tensors
from thvideo.weights.write import write_weights

# One column for each training video: of no use to anybody else, and the larger part of a file.
_LEFT_OUT = "discriminator.columns."
_MOST_HALF = torch.finfo(torch.float16).max


def export_run(
    run: Path, target: Path, checkpoint: str = "best", *, said: Card, is_halved: bool = True
) -> Card:
    """Write the weights of a run's checkpoint as one file and its card.

    Args:
        run: the folder that `thvideo metatrain` wrote.
        target: the `.safetensors` to write; the card goes beside it as `.json`.
        checkpoint: `best`, `last` or `step-N`.
        said: what only a person can say, such as `use` and `data`; it wins over what is known.
        is_halved: store matrices and convolutions as float16 instead of float32. Vectors stay:
            they are small, and those of spectral norm scale whole layers.

    Returns:
        The card.

    Raises:
        UsageError: the target has another ending, or is a file of something else.
        InputError: the run or the checkpoint is missing or damaged.
        WorkspaceError: the target cannot be written.
    """
    if target.suffix != ".safetensors":
        hint = f"-o {target.with_suffix('.safetensors')}"
        raise UsageError(f"weights are written as .safetensors, not {target.name}", hint=hint)
    beside = target.with_suffix(".json")
    for path, is_ours in ((target, is_weights), (beside, is_card)):
        if path.is_file() and not is_ours(path):
            hint = "remove it, or give another -o FILE"
            raise UsageError(f"{path} is there already and is none of ours", hint=hint)
    folder = _checkpoint(run, checkpoint)
    tensors = _tensors(folder / WEIGHTS, is_halved=is_halved)
    written, state = _json(run / OPTIONS), _json(folder / STATE)
    try:
        card = _card(target.stem, written, int(state["step"]), tensors)
        card["measured"], minutes = _progress(run / METRICS, card["steps"])
        card["training"] |= {"minutes": minutes}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{run} is of another version of thvideo, or damaged ({reason_of(error)})",
            hint="export it with the version that wrote it",
        ) from error
    return write_weights(target, tensors, card | said)


def _checkpoint(run: Path, name: str) -> Path:
    folder = checkpoint_place(run / name)
    if folder is not None:
        return folder
    if not run.is_dir():
        raise InputError(f"there is no run at {run}", hint="thvideo metatrain -o RUN makes one")
    there = checkpoint_names(run)
    if not there:
        raise InputError(f"{run} holds no checkpoint yet", hint="let thvideo metatrain run longer")
    raise InputError(
        f"{run} has no checkpoint {name!r} (there: {', '.join(there)})",
        hint=f"pass --checkpoint {'last' if 'last' in there else there[-1]}",
    )


def _tensors(path: Path, *, is_halved: bool) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in read_tensors(path).items():
        if key.partition(".")[0] not in PARTS or key.startswith(_LEFT_OUT):
            continue
        kept = value.float() if value.is_floating_point() else value
        if kept.is_floating_point() and not bool(kept.isfinite().all()):
            raise InputError(
                f"{path} holds numbers that are none in {key}", hint="export another checkpoint"
            )
        is_large = kept.is_floating_point() and kept.ndim > 1
        fits = is_large and not bool((kept.abs() > _MOST_HALF).any())
        found[key] = (kept.half() if is_halved and fits else kept).contiguous()
    return found


def _card(name: str, written: dict[str, Any], step: int, tensors: dict[str, Tensor]) -> Card:
    """What is known of the weights; only names of folders, never where they lie."""
    options, models = dict(written["options"]), written["models"]
    counts = {
        part: sum(value.numel() for key, value in tensors.items() if key.startswith(f"{part}."))
        for part in PARTS
    }
    data, sizes = Path(options.pop("data")).name, options["sizes"]
    options["perceptual"] = [network for network, _ in options["perceptual"]]
    return {
        "name": name,
        "what": f"meta-trained embedder, generator and discriminator, preset {models['preset']}",
        "preset": models["preset"],
        "options": models,
        "draw_style": int(written["draw_style"]),
        "size_px": int(trained_at(sizes, step)),
        "parameters": counts,
        "storage": ", ".join(sorted({str(v.dtype).split(".")[-1] for v in tensors.values()})),
        "data": f"the dataset {data}",
        "steps": step,
        "training": {"options": options},
    }


def _progress(log: Path, step: int) -> tuple[Card, float]:
    """The last validation up to a step, and the minutes of training up to it."""
    measured: Card = {}
    before_s = call_s = 0.0
    for line in _lines(log):
        if line["step"] > step:
            continue
        found = {k.removeprefix("val_"): v for k, v in line.items() if k.startswith("val_")}
        measured = found or measured
        if "s" in line:
            # Seconds count from the beginning of a call: a smaller number is a resumed run.
            before_s += call_s if line["s"] < call_s else 0.0
            call_s = line["s"]
    return measured, round((before_s + call_s) / 60, 1)


def _lines(log: Path) -> Iterator[Card]:
    if not log.is_file():
        return
    with log.open(encoding="utf-8") as file:
        for line in file:
            # A killed run may leave half a line, and the next one writes on behind it.
            with suppress(ValueError):
                yield json_of(line)


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json_of(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        hint = "export another checkpoint: --checkpoint last"
        raise InputError(f"{path} is missing or damaged ({reason_of(error)})", hint=hint) from error
