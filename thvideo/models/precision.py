"""In which arithmetic networks run. Loads no torch before they do."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]

#: What the person may ask for: "auto" is one of the two, by what was measured on the machine.
AskedPrecision = Literal["auto", "fp32", "bf16"]


def arithmetic(precision: Precision, device: "torch.device") -> AbstractContextManager[object]:
    """Return the context in which networks run on a device."""
    if precision == "fp32":
        return nullcontext()
    import torch

    return torch.autocast(device.type, torch.bfloat16)
