"""Several processes train as one with the whole batch would."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.cli_process import environment
from thvideo.errors import DeviceError
from thvideo.training.processes import ALONE, Processes, joined

SCRIPT = Path(__file__).with_name("part_of_a_run.py")
N_STEPS = 4


def side_by_side(arguments: list[str], environments: list[dict[str, str]]) -> list[str]:
    """Run Python in processes that meet, one an environment; return what they say."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts, n_processes = [], len(environments)
    for rank, own in enumerate(environments):
        names = {"RANK": rank, "WORLD_SIZE": n_processes, "MASTER_PORT": port, "LOCAL_RANK": rank}
        told = {name: str(value) for name, value in names.items()} if n_processes > 1 else {}
        env = environment(MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1", **told, **own)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        parts.append(subprocess.Popen([sys.executable, *arguments], env=env, text=True, **pipes))
    said = []
    for part in parts:
        out, err = part.communicate(timeout=200)
        assert part.returncode == 0, err
        # Some versions of torch tell there whom they have met.
        lines = out.splitlines(keepends=True)
        said.append("".join(line for line in lines if not line.startswith("[Gloo]")))
    return said


def trained(data: Path, folder: Path, n_processes: int) -> list[dict[str, float]]:
    """Train on drawn faces in so many processes; return the log's lines."""
    side_by_side([str(SCRIPT), str(data), str(folder), str(N_STEPS)], [{}] * n_processes)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_two_processes_give_the_losses_and_weights_of_one(drawn: Path, tmp_path: Path) -> None:
    logs = [trained(drawn, tmp_path / str(n), n) for n in (1, 2)]
    for one, two in zip(*logs, strict=True):
        assert one.keys() == two.keys()
        values = [
            {k: v for k, v in line.items() if k not in ("s", "samples_per_s")}
            for line in (one, two)
        ]
        # The gradient's size leaps where pixels are fetched across an edge: rounding shows in it.
        gradients = [value.pop("gradient", 0.0) for value in values]
        assert gradients[0] == pytest.approx(gradients[1], rel=5e-2)
        assert values[0] == pytest.approx(values[1], rel=2e-3, abs=1e-4)
    assert any("hinge" in line for line in logs[1])
    ones, twos = (load_file(tmp_path / n / "last" / "weights.safetensors") for n in ("1", "2"))
    apart = {name: float((ones[name] - twos[name]).abs().max()) for name in ones}
    # Adam divides by the gradient's size: rounding moves what has hardly any gradient by up to a
    # rate (measured: 3.6e-3 at most). Whole steps apart would be several times this.
    assert max(apart.values()) < 5e-3, max(apart, key=apart.__getitem__)
    assert apart["discriminator.columns.weight"] < 2e-3
    assert sum(apart.values()) / len(apart) < 2e-3


def test_machines_of_which_one_is_faster_in_fp32_all_train_in_it(drawn: Path) -> None:
    call = ["-m", "thvideo", "metatrain", "--data", str(drawn), "--dry-run", "--json"]
    machines = [{"THVIDEO_PRECISION": taken} for taken in ("bf16", "fp32")]
    first, other = side_by_side(call, machines)
    assert json.loads(first)["precision"] == "fp32"
    assert not other


def test_parts_of_a_batch_are_all_of_it() -> None:
    parts = [Processes(rank, 3).share_of(12) for rank in range(3)]
    assert [episode for part in parts for episode in part] == list(range(12))
    assert ALONE.share_of(5) == range(5)


def test_a_process_alone_agrees_with_itself() -> None:
    assert ALONE.agreed(True, False) == [True, False]
    assert ALONE.mean(torch.tensor([2.0])).item() == 2.0
    with joined(torch.device("cpu")) as processes:
        assert processes is ALONE


def test_devices_that_cannot_pass_on_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DeviceError, match="several processes"), joined(torch.device("mps")):
        pass
