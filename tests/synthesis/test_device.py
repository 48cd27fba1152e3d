"""Choosing the device."""

import threading

import pytest
import torch

from thvideo.errors import DeviceError, ExitCode
from thvideo.synthesis.device import choose_device, choose_devices, cpu_threads


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu").type == "cpu"


def test_auto_takes_the_best_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_missing_device_is_an_error_with_a_way_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert caught.value.exit_code == ExitCode.DEVICE
    assert "--device" in caught.value.hint


def test_a_device_number_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="cuda:2"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "tpu"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(DeviceError, match="unknown device") as caught:
        choose_device(name)
    assert "mps" in caught.value.hint


def test_several_devices_are_named_between_commas_and_whoever_needs_one_takes_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    both = [torch.device("cuda:1"), torch.device("cuda:0")]
    assert choose_devices("cuda:1, cuda:0") == both
    assert choose_device("cuda:1,cuda:0") == both[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("cuda:0,", "unknown device ''"),
        ("cuda:0,cuda:2", "no device 'cuda:2'"),
        ("cpu,cuda:0", "different kinds"),
        ("cuda:0 cuda:1", "unknown device"),
        ("cuda:1,cuda:1", "a device twice"),
        ("cuda,cuda:0", "a device twice"),
    ],
)
def test_a_bad_list_of_devices_is_one_line_with_a_way_out(
    names: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=said) as caught:
        choose_device(names)
    assert caught.value.exit_code == ExitCode.DEVICE
    assert "--device" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_number_of_threads_holds_inside_the_block_alone() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), cpu_threads(before + 2):
        assert torch.get_num_threads() == before + 2
        raise KeyError
    assert torch.get_num_threads() == before
    with cpu_threads(0):
        assert torch.get_num_threads() == before


def test_two_threads_that_are_inside_at_once_keep_their_own_numbers_and_leave_none_behind() -> None:
    before = torch.get_num_threads()
    inside, leave = threading.Event(), threading.Event()
    seen: list[int] = []

    def beside() -> None:
        # Another thread's number is no choice of this one's.
        with cpu_threads(0):
            seen.append(torch.get_num_threads())
        with cpu_threads(before + 2):
            inside.set()
            leave.wait(20)
            seen.append(torch.get_num_threads())

    thread = threading.Thread(target=beside)
    with cpu_threads(before + 1):
        thread.start()
        assert inside.wait(20)
        assert torch.get_num_threads() == before + 1
        with cpu_threads(0):
            assert torch.get_num_threads() == before + 1
    # The other one leaves last.
    leave.set()
    thread.join(20)
    assert seen == [before, before + 2]
    assert torch.get_num_threads() == before
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join(20)
    assert seen[-1] == before
