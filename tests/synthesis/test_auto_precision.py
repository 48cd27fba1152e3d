"""What "auto" takes is measured once for a machine, and never changes by itself."""

import errno
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.cli_process import environment
from thvideo.errors import DeviceError, UsageError
from thvideo.synthesis import auto_precision as measured
from thvideo.synthesis.auto_precision import LEAST_GAIN, auto_precision, choose_precision

CPU = torch.device("cpu")
Speeds = Callable[..., list[torch.device]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing was measured yet, and nobody says what to take."""
    monkeypatch.delenv("THVIDEO_PRECISION")
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Speeds:
    """Let probes find the given speeds in turn; returns on which devices they looked."""

    def finding(*speeds: float) -> list[torch.device]:
        looked: list[torch.device] = []

        def probe(device: torch.device) -> float:
            looked.append(device)
            return speeds[len(looked) - 1]

        monkeypatch.setattr(measured, "bf16_speed", probe)
        return looked

    return finding


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("speed", "taken"),
    [(0.0, "fp32"), (0.56, "fp32"), (LEAST_GAIN - 0.01, "fp32"), (LEAST_GAIN, "bf16")],
)
def test_bf16_is_taken_where_it_is_clearly_faster(speed: float, taken: str, probed: Speeds) -> None:
    probed(speed)
    assert choose_precision("auto", "cpu") == taken
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("fp32", "cpu") == "fp32"


@pytest.mark.usefixtures("cache")
def test_what_was_found_first_stays_whatever_a_later_probe_would_find(probed: Speeds) -> None:
    looked = probed(1.7, 0.4)
    assert [auto_precision("cpu").precision for _ in range(3)] == ["bf16"] * 3
    # The best device of a machine is named in two ways.
    assert {auto_precision(names).precision for names in ("auto", "cpu,cpu")} == {"bf16"}
    assert looked == [CPU]


def test_what_another_process_remembered_meanwhile_wins(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_probe(device: torch.device) -> float:
        monkeypatch.setattr(measured, "bf16_speed", lambda device: 2.0)
        assert auto_precision("cpu").precision == "bf16"
        return 0.5

    monkeypatch.setattr(measured, "bf16_speed", slow_probe)
    assert auto_precision("cpu").precision == "bf16"
    assert [path.suffix for path in cache.iterdir()] == [".json"]


@pytest.mark.usefixtures("cache")
def test_what_cannot_be_remembered_is_fp32(
    tmp_path: Path, probed: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path / "file"))
    looked = probed()
    taken = auto_precision("cpu")
    assert (taken.precision, taken.file) == ("fp32", None)
    assert "cannot be written" in taken.reason
    monkeypatch.delenv("THVIDEO_CACHE")
    monkeypatch.setattr(measured, "cache_folder", lambda: Path("~nosuchuser").expanduser())
    taken = auto_precision("cpu")
    assert taken.precision == "fp32"
    assert "no home folder" in taken.reason
    # Nothing is loaded each time for an answer that nobody would take.
    assert not looked


def test_what_a_full_disk_does_not_take_is_fp32(
    cache: Path, probed: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "hardlink_to", full)
    probed(1.7, 1.7)
    taken = auto_precision("cpu")
    assert (taken.precision, taken.speed, taken.file) == ("fp32", 1.7, None)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("text", ["", "[]", '{"bf16_speed": "fast"}', '{"bf16_speed": NaN}'])
def test_a_damaged_memory_is_measured_again(cache: Path, text: str, probed: Speeds) -> None:
    looked = probed(0.5, 1.7)
    assert auto_precision("cpu").precision == "fp32"
    [path] = cache.iterdir()
    path.write_text(text)
    assert auto_precision("cpu").precision == "bf16"
    assert len(looked) == 2
    assert json.loads(path.read_text())["bf16_speed"] == 1.7


@pytest.mark.usefixtures("cache")
def test_another_processor_or_torch_is_another_machine(
    probed: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = probed(1.7, 0.5, 0.6)
    assert auto_precision("cpu").precision == "bf16"
    with monkeypatch.context() as patched:
        patched.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
        assert auto_precision("cpu").precision == "fp32"
    with monkeypatch.context() as patched:
        patched.setattr(measured.metadata, "version", lambda package: "9.9")
        assert auto_precision("cpu").precision == "fp32"
    assert auto_precision("cpu").precision == "bf16"
    assert len(looked) == 3


@pytest.mark.usefixtures("cache")
def test_several_devices_take_bf16_only_where_all_gain_by_it(
    probed: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [torch.device("cuda:0"), torch.device("cuda:1")]
    monkeypatch.setattr("thvideo.synthesis.device.choose_devices", lambda names: pair)
    probed(1.7, 0.9)
    assert auto_precision("cuda:0,cuda:1").precision == "fp32"
    monkeypatch.setattr("thvideo.synthesis.device.choose_devices", lambda names: pair[:1])
    # Remembered from the list.
    assert auto_precision("cuda:0").precision == auto_precision("cuda").precision == "bf16"


@pytest.mark.usefixtures("cache")
def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError):
        auto_precision("cuda:99")
    monkeypatch.setenv("THVIDEO_PRECISION", "bf17")
    with pytest.raises(UsageError, match="THVIDEO_PRECISION cannot be 'bf17'"):
        auto_precision("cpu")


def test_the_environment_says_it_for_machines_that_shall_be_alike(
    cache: Path, probed: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = probed()
    monkeypatch.setenv("THVIDEO_PRECISION", "bf16")
    assert choose_precision("auto", "cpu") == "bf16"
    assert choose_precision("fp32", "cpu") == "fp32"
    assert not looked and not cache.exists()


def test_the_probe_draws_nothing_at_random_and_leaves_the_threads_alone() -> None:
    torch.manual_seed(5)
    before, n_threads = torch.get_rng_state(), torch.get_num_threads()
    assert measured.bf16_speed(CPU) > 0
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == n_threads


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is x86's")
def test_emulated_bf16_is_never_taken(tmp_path: Path) -> None:
    # oneDNN emulates it where it may use no more than AVX2, on whatever processor.
    show = "from thvideo.synthesis.auto_precision import auto_precision as a; print(a('cpu'))"
    there = environment(
        THVIDEO_PRECISION="", THVIDEO_CACHE=str(tmp_path), ONEDNN_MAX_CPU_ISA="AVX2"
    )
    call = [sys.executable, "-c", show]
    done = subprocess.run(call, env=there, capture_output=True, text=True, check=True, timeout=120)
    assert "precision='fp32'" in done.stdout
    [path] = tmp_path.iterdir()
    assert 0 < json.loads(path.read_text())["bf16_speed"] < 1
