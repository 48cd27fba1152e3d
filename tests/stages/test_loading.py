"""Loading modules: garbage is not looked for meanwhile, and not in PyTorch ever after."""

import gc
import sys
from types import ModuleType

import pytest

from thvideo.stages.base import loading


def test_what_is_loaded_with_pytorch_is_not_looked_through_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    before = gc.get_freeze_count()
    try:
        with loading():
            assert not gc.isenabled()
            loaded = [[index] for index in range(10_000)]
            monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(loaded)
    finally:
        gc.unfreeze()


def test_what_is_made_later_may_still_become_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    before = gc.get_freeze_count()
    with loading():
        made = [[index] for index in range(10_000)]
    assert gc.get_freeze_count() < before + len(made)


def test_whoever_does_without_the_search_for_garbage_goes_on_without_it() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
