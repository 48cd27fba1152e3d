"""From a training run to one file that travels: halved, described, and with its digests."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from thvideo.errors import InputError, UsageError, WorkspaceError
from thvideo.weights.cards import Card, sha256_of, sha256_of_tensors
from thvideo.weights.load import PARTS
from thvideo.weights.pth import read_tensors

# One column for each training video: of no use to anybody else, and the larger part of a file.
_LEFT_OUT = "discriminator.columns."
_MOST_HALF = torch.finfo(torch.float16).max


def export_run(
    run: Path, target: Path, checkpoint: str = "best", *, use: str, is_halved: bool = True
) -> Card:
    """Write the weights of a run's checkpoint as one file and its card.

    Args:
        run: the folder that `thvideo metatrain` wrote.
        target: the `.safetensors` to write; the card goes beside it as `.json`.
        checkpoint: `best`, `last` or `step-N`.
        use: for what use, and under which licence, the weights are passed on.
        is_halved: store float16 instead of float32; what float16 cannot hold stays.

    Returns:
        The card.

    Raises:
        UsageError: the target has another ending.
        InputError: the run or the checkpoint is missing or damaged.
        WorkspaceError: the target cannot be written.
    """
    if target.suffix != ".safetensors":
        hint = f"-o {target.with_suffix('.safetensors')}"
        raise UsageError(f"weights are written as .safetensors, not {target.name}", hint=hint)
    folder = _checkpoint(run, checkpoint)
    options, state = _json(run / "options.json"), _json(folder / "state.json")
    tensors = _tensors(folder / "weights.safetensors", is_halved=is_halved)
    card = _card(target.stem, options, state, tensors)
    return write_weights(target, tensors, card | {"use": use})


def write_weights(target: Path, tensors: dict[str, Tensor], card: Card) -> Card:
    """Write weights with their card in them and beside them, whole or not at all.

    Args:
        target: the `.safetensors` file.
        tensors: by name; for a generator, names begin with their part.
        card: what the card says, without digests and date.

    Returns:
        The card as it lies beside the file, with its digest.

    Raises:
        WorkspaceError: the disk refuses; a file that was there before is untouched.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial)
        inside = card | {
            "made": datetime.now(UTC).strftime("%Y-%m-%d"),
            "sha256_tensors": sha256_of_tensors(partial),
        }
        save_file(tensors, partial, {"thvideo": json.dumps(inside, ensure_ascii=False)})
        partial.chmod(0o644)
        beside = inside | {"sha256": sha256_of(partial)}
        # An old card must not be found beside the new file, nor the other way round.
        target.with_suffix(".json").unlink(missing_ok=True)
        partial.replace(target)
        text = json.dumps(beside, indent=2, ensure_ascii=False) + "\n"
        target.with_suffix(".json").write_text(text, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        hint = "pass -o FILE on a disk with room that you may write to"
        raise WorkspaceError(f"{target} cannot be written ({error})", hint=hint) from error
    return beside


def _checkpoint(run: Path, name: str) -> Path:
    folder = run / name
    if (folder / "weights.safetensors").is_file():
        return folder
    if not run.is_dir():
        raise InputError(f"there is no run at {run}", hint="thvideo metatrain -o RUN makes one")
    there = sorted(found.parent.name for found in run.glob("*/weights.safetensors"))
    if not there:
        raise InputError(f"{run} holds no checkpoint yet", hint="let thvideo metatrain run longer")
    raise InputError(
        f"{run} has no checkpoint {name!r} (there: {', '.join(there)})",
        hint=f"pass --checkpoint {'last' if 'last' in there else there[-1]}",
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        hint = "export another checkpoint: --checkpoint last"
        raise InputError(f"{path} is missing or damaged ({error})", hint=hint) from error
    return dict(read)


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
        fits = kept.is_floating_point() and not bool((kept.abs() > _MOST_HALF).any())
        found[key] = (kept.half() if is_halved and fits else kept).contiguous()
    return found


def _card(
    name: str, options: dict[str, Any], state: dict[str, Any], tensors: dict[str, Tensor]
) -> Card:
    counts = {
        part: sum(value.numel() for key, value in tensors.items() if key.startswith(f"{part}."))
        for part in PARTS
    }
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in tensors.values()})
    try:
        return {
            "name": name,
            "what": f"meta-trained embedder, generator and discriminator, {options['preset']}",
            "preset": options["preset"],
            "options": options["model"],
            "draw_style": options["draw_style"],
            "size_px": options["size_px"],
            "parameters": counts,
            "storage": ", ".join(kinds),
            "data": options["data"],
            "steps": state["step"],
            "training": options["training"] | {"minutes": round(state["seconds"] / 60, 1)},
            "measured": state["measured"],
        }
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the run was written by another version of thvideo: it lacks {error}",
            hint="export it with that version",
        ) from error
