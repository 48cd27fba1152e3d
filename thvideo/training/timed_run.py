"""A training loop that ends on time: the learning rate follows the clock, not the step count."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from thvideo.errors import InputError
from thvideo.models.precision import Precision, arithmetic

Batch = dict[str, Tensor]
# What a net sees in a batch.
Seen = Callable[[Tensor], tuple[Tensor, Tensor]]
# Loss of a batch at a progress in 0..1, and what to log.
Loss = Callable[[Seen, Batch, float], tuple[Tensor, dict[str, float]]]
Evaluate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class RunOptions:
    """How long and how fast to train.

    Attributes:
        seconds: wall-clock time of the whole run, resumed parts included.
        peak_lr: learning rate after the warm-up; it falls to zero as a cosine.
        warmup: share of the run that the rate rises.
        weight_decay: AdamW's, on matrices and kernels only.
        average_steps: length of the moving average of the weights.
        save_every_s: seconds between checkpoints (and measurements).
        seed: of the data and the first weights.
        precision: arithmetic of the net.
    """

    seconds: float
    peak_lr: float = 2e-3
    warmup: float = 0.03
    weight_decay: float = 0.02
    average_steps: int = 400
    save_every_s: float = 240.0
    seed: int = 0
    precision: Precision = "fp32"


def rate_at(progress: float, options: RunOptions) -> float:
    """Learning rate at a progress in 0..1."""
    if progress < options.warmup:
        return options.peak_lr * (0.05 + 0.95 * progress / options.warmup)
    rest = (progress - options.warmup) / (1 - options.warmup)
    return options.peak_lr * 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


def average_into(average: nn.Module, net: nn.Module, step: int, length: int) -> None:
    """Move the averaged weights towards the net's; short averages first, then `length` steps."""
    share = 1.0 / min(length, 1 + step / 4)
    with torch.no_grad():
        fast = net.state_dict()
        for name, slow in average.state_dict().items():
            if slow.is_floating_point():
                slow.lerp_(fast[name], share)


def prefetched(make: Callable[[], Batch], depth: int = 3) -> Iterator[Batch]:
    """Batches made in a thread: OpenCV works while PyTorch does."""
    queue: Queue[Batch | BaseException] = Queue(depth)
    stopped = Event()

    def fill() -> None:
        while not stopped.is_set():
            try:
                item: Batch | BaseException = make()
            except BaseException as error:  # the consumer raises it
                item = error
            while not stopped.is_set():
                try:
                    queue.put(item, timeout=0.5)
                    break
                except Full:
                    continue
            if isinstance(item, BaseException):
                return

    thread = Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            batch = queue.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stopped.set()
        thread.join(timeout=5)


class TimedRun:
    """Trains a network for a given time, with checkpoints from which it can go on.

    Args:
        net: the network, already on its device.
        average: a copy of it that takes the moving average; the one to ship.
        folder: gets `run.safetensors`, `average.safetensors` and `metrics.jsonl`.
        options: how long and how fast.
    """

    def __init__(
        self, net: nn.Module, average: nn.Module, folder: Path, options: RunOptions
    ) -> None:
        self.net, self.average = net, average
        self._folder, self._options = folder, options
        kernels = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": kernels, "weight_decay": options.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=options.peak_lr,
        )
        self.step, self.elapsed_s = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def fit(self, batches: Iterator[Batch], loss_of: Loss, evaluate: Evaluate) -> None:
        """Train until the time is up; log as JSON lines; save at intervals and at the end."""
        started = time.monotonic() - self.elapsed_s
        saved_at = self.elapsed_s
        while self.elapsed_s < self._options.seconds:
            progress = self.elapsed_s / self._options.seconds
            rate = rate_at(progress, self._options)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self.net.train()
            loss, stats = loss_of(self._seen, next(batches), progress)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self._optimizer.step()
            average_into(self.average, self.net, self.step, self._options.average_steps)
            self.step += 1
            self.elapsed_s = time.monotonic() - started
            if self.step % 20 == 0:
                self._log({"loss": float(loss.detach()), "lr": rate, **stats})
            if self.elapsed_s - saved_at > self._options.save_every_s:
                saved_at = self.elapsed_s
                self.save()
                self._log({"val/" + name: value for name, value in evaluate(self.average).items()})
        self.save()
        self._log({"val/" + name: value for name, value in evaluate(self.average).items()})

    def _seen(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        with arithmetic(self._options.precision, pictures.device):
            seen: tuple[Tensor, Tensor] = self.net(pictures)
        return seen

    def save(self) -> None:
        """Write the averaged net, and everything that `resume` needs."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"average.{k}": value for k, value in self.average.state_dict().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
        tensors["clock"] = torch.tensor([self.step, self.elapsed_s], dtype=torch.float64)
        self._write("run.safetensors", tensors)
        self._write("average.safetensors", dict(self.average.state_dict()))

    def resume(self) -> bool:
        """Go on from this folder's checkpoint.

        Returns:
            False if there is none.
        """
        path = self._folder / "run.safetensors"
        if not path.is_file():
            return False
        tensors = load_file(path)
        self.net.load_state_dict(_under(tensors, "net."))
        self.average.load_state_dict(_under(tensors, "average."))
        state: dict[int, Batch] = {}
        for name, value in _under(tensors, "adam.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self.step, self.elapsed_s = int(tensors["clock"][0]), float(tensors["clock"][1])
        return True

    def start_from(self, path: Path) -> None:
        """Begin with the weights of an earlier run.

        Raises:
            InputError: the file is not there.
        """
        if not path.is_file():
            raise InputError(f"{path} is missing", hint="give an average.safetensors of a run")
        weights = {name: value.float() for name, value in load_file(path).items()}
        self.net.load_state_dict(weights, strict=False)
        self.average.load_state_dict(weights, strict=False)

    def _write(self, name: str, tensors: Batch) -> None:
        partial = self._folder / f"{name}.partial"
        save_file({key: value.contiguous() for key, value in tensors.items()}, partial)
        partial.replace(self._folder / name)

    def _log(self, values: dict[str, float]) -> None:
        line = {"step": self.step, "s": round(self.elapsed_s, 1)}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | {k: round(v, 5) for k, v in values.items()}) + "\n")


def _under(tensors: Batch, prefix: str) -> Batch:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
