"""From a training run to shipped weights: norms folded, half precision, and a card."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from thvideo.models.landmark_net import fold_norms
from thvideo.weights.cards import sha256_of

_USE = (
    "Research use only: the pictures and footage behind these weights belong to third parties "
    "(licences of the collecting repositories vary, some non-commercial)."
)


@dataclass(frozen=True)
class Origin:
    """What a card says about how weights came to be.

    Attributes:
        what: the network and its task.
        data: what it was trained on.
        command: the command that trains it again.
        minutes: wall-clock time of training.
        measured: numbers, by name.
    """

    what: str
    data: str
    command: str
    minutes: float
    measured: dict[str, Any]


def export_weights(net: nn.Module, trained: Path, target: Path, origin: Origin) -> None:
    """Write shipped weights and their card.

    Args:
        net: an untrained network of the right shape.
        trained: `average.safetensors` of a run.
        target: the `.safetensors` to write; the card goes beside it as `.json`.
        origin: what the card says.
    """
    net.load_state_dict(load_file(trained))
    folded = fold_norms(net.eval())
    halves = {k: v.to(torch.float16).contiguous() for k, v in folded.state_dict().items()}
    partial = target.with_suffix(".partial")
    save_file(halves, partial)
    partial.chmod(0o644)
    partial.replace(target)
    written = {
        "name": target.stem,
        "what": origin.what,
        "parameters": sum(value.numel() for value in halves.values()),
        "storage": "float16, batch norms folded into convolutions",
        "data": origin.data,
        "training": {"command": origin.command, "minutes": origin.minutes},
        "measured": origin.measured,
        "use": _USE,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "sha256": sha256_of(target),
    }
    text = json.dumps(written, indent=2, ensure_ascii=False) + "\n"
    target.with_suffix(".json").write_text(text, encoding="utf-8")
