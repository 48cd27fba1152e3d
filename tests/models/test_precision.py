"""Which arithmetic devices compute in."""

import pytest
import torch

from thvideo.models.precision import precision_of_all

OLD, NEW = torch.device("cuda:0"), torch.device("cuda:1")


def test_devices_of_which_one_has_no_bf16_draw_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thvideo.models.precision.multiplies_bf16", lambda device: device == NEW)
    assert precision_of_all("auto", [NEW, OLD]) == "fp32"
    assert precision_of_all("auto", [NEW]) == "auto"
    assert precision_of_all("bf16", [NEW, OLD]) == "bf16"
