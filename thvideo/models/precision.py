"""In which arithmetic networks run."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which networks run on a device.

    "auto" takes bf16 on CUDA devices that have it, and on processors that multiply it: others
    only emulate it, many times slower than single precision.
    """
    wanted = precision == "bf16" or (precision == "auto" and multiplies_bf16(device))
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def precision_of_all(precision: Precision, devices: Sequence[torch.device]) -> Precision:
    """Return what several devices draw in alike: "auto" takes bf16 only where all have it."""
    if precision == "auto" and not all(map(multiplies_bf16, devices)):
        return "fp32"
    return precision


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bf16."""
    if device.type == "cuda":
        # It answers for the device that is current.
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return False
