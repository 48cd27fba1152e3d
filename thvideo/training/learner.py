"""The networks of a run and one step of their training (sections 3.2 and 3.3 of the paper)."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thvideo.models.discriminator import Discriminator
from thvideo.models.embedder import Embedder
from thvideo.models.generator import PaperGenerator
from thvideo.models.perceptual import PerceptualNet
from thvideo.models.precision import Precision, arithmetic
from thvideo.models.presets import ModelOptions, build_networks
from thvideo.models.shown import Drawn
from thvideo.models.swift import SwiftEmbedder, SwiftGenerator
from thvideo.training.checkpoint import (
    Tensors,
    load_into,
    optimizer_tensors,
    restore_optimizer,
    under,
    with_prefix,
)
from thvideo.training.episodes import Batch, as_signed
from thvideo.training.losses import (
    Judges,
    StepLoss,
    Truth,
    discriminator_step_loss,
    generator_step_loss,
)
from thvideo.training.meta_options import MetaOptions, without_adversary

#: The first steps of an average follow the weights closely: a long average of few steps would
#: mostly hold the first weights.
_EMA_WARMUP = 10.0


class Drawing(NamedTuple):
    """The two networks that draw."""

    embedder: Embedder | SwiftEmbedder
    generator: PaperGenerator | SwiftGenerator


class Learner:
    """Embedder, generator and discriminator, their averages and optimisers.

    Args:
        options: How to train.
        models: The architecture.
        n_videos: Columns of W.
        device: Where.
        precision: Arithmetic of the networks.
        perceptual: The perceptual networks that the losses name.
    """

    def __init__(
        self,
        options: MetaOptions,
        models: ModelOptions,
        n_videos: int,
        device: torch.device,
        precision: Precision,
        perceptual: Mapping[str, PerceptualNet],
    ) -> None:
        self.options, self.models, self.device = options, models, device
        torch.manual_seed(options.seed)
        self.networks = build_networks(models, n_videos)
        for network in self.networks:
            # The types of torch know no memory format beside a device.
            network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Drawing(
            copy.deepcopy(self.networks.embedder), copy.deepcopy(self.networks.generator)
        )
        for average in self.averaged:
            average.eval().requires_grad_(False)
        self.judges = Judges(self.networks.discriminator, perceptual)
        self.step = 0
        self._precision = precision
        embedder, generator, discriminator = self.networks
        dense = [p for p in discriminator.parameters() if p is not discriminator.columns.weight]
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(
                [*embedder.parameters(), *generator.parameters()], options.lr, options.betas
            ),
            "discriminator": torch.optim.Adam(dense, options.lr_d, options.betas),
            "columns": torch.optim.SparseAdam(
                [discriminator.columns.weight], options.lr_d, options.betas
            ),
        }

    @property
    def is_adversarial(self) -> bool:
        """Whether the discriminator takes part in the next step."""
        losses = self.options.losses
        used = losses.adversarial or losses.feature_matching or losses.matching
        return bool(used) and self.step >= self.options.adversarial_from

    def train(self, parts: Sequence[Batch]) -> dict[str, float]:
        """Do one step: embedder and generator, then the discriminator.

        Args:
            parts: The batch in as many parts as gradients are accumulated over.

        Returns:
            The losses' terms, and the gradients' norm.
        """
        self._set_rates()
        embedder, generator, discriminator = self.networks
        terms: dict[str, list[Tensor]] = {}
        drawn = []
        with_judge = self.is_adversarial
        for part in parts:
            with self.arithmetic():
                embedding = embed(embedder, part)
                picture = generator(part.shown(), generator.adain_parameters(embedding))
            loss = self._generator_loss(picture, embedding, part, with_judge)
            (loss.total / len(parts)).backward()  # type: ignore[no-untyped-call]
            _collect(terms, loss.terms)
            drawn.append(picture.image.detach())
        norm = self._update("generator", [embedder, generator])
        for _ in range(self.options.d_steps if with_judge else 0):
            for part, picture in zip(parts, drawn, strict=True):
                with self.arithmetic():
                    judged = discriminator_step_loss(
                        discriminator, picture, truth_of(part, discriminator)
                    )
                (judged.total / len(parts)).backward()  # type: ignore[no-untyped-call]
                _collect(terms, judged.terms)
            self._update("discriminator", [discriminator], also="columns")
        self._average()
        self.step += 1
        means = {name: float(torch.stack(values).mean()) for name, values in terms.items()}
        return means | {"gradient": norm}

    def _generator_loss(
        self, picture: Drawn, embedding: Tensor, part: Batch, with_judge: bool
    ) -> StepLoss:
        weights = self.options.losses
        if not with_judge:
            weights = without_adversary(weights)
        truth = truth_of(part, self.networks.discriminator)
        with self.arithmetic():
            return generator_step_loss(picture, embedding, truth, weights, self.judges)

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context in which the networks run."""
        return arithmetic(self._precision, self.device)

    def _set_rates(self) -> None:
        rise = min(1.0, (self.step + 1) / max(1, self.options.warmup))
        rates = {"generator": self.options.lr}
        for name, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rise * rates.get(name, self.options.lr_d)

    def _update(self, name: str, networks: Sequence[nn.Module], also: str | None = None) -> float:
        """Take the gradients' step; return their norm before it was cut."""
        parameters = [p for net in networks for p in net.parameters() if p.grad is not None]
        dense = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
        limit = self.options.clip_norm or float("inf")
        norm = float(nn.utils.clip_grad_norm_(dense, limit)) if dense else 0.0
        for optimizer in (self._optimizers[name], *([self._optimizers[also]] if also else [])):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (_EMA_WARMUP + self.step))
        for average, net in zip(self.averaged, self.networks, strict=False):
            fast = dict(net.state_dict())
            for name, slow in average.state_dict().items():
                if slow.is_floating_point():
                    slow.lerp_(fast[name].to(slow.dtype), 1 - decay)
                else:
                    slow.copy_(fast[name])

    def weights(self) -> Tensors:
        """Return what is exported: averaged embedder and generator, and the discriminator."""
        embedder, generator = self.averaged
        return (
            with_prefix("embedder", embedder.state_dict())
            | with_prefix("generator", generator.state_dict())
            | with_prefix("discriminator", self.networks.discriminator.state_dict())
        )

    def training_tensors(self) -> Tensors:
        """Return what only a resume needs."""
        tensors: Tensors = {}
        for name, network in zip(("embedder", "generator"), self.networks, strict=False):
            tensors |= with_prefix(name, network.state_dict())
        for name, optimizer in self._optimizers.items():
            tensors |= with_prefix(f"adam_{name}", optimizer_tensors(optimizer))
        return tensors

    def restore(self, weights: Tensors, training: Tensors, step: int) -> None:
        """Put back a checkpoint.

        Raises:
            InputError: It is of another architecture.
        """
        self.start_from(weights)
        for name, network in zip(("embedder", "generator"), self.networks, strict=False):
            load_into(network, under(name, training), f"the checkpoint's {name}")
        for name, optimizer in self._optimizers.items():
            restore_optimizer(optimizer, under(f"adam_{name}", training))
        self.step = step

    def start_from(self, weights: Tensors) -> None:
        """Begin with weights of another run; columns of W for other videos are left out.

        Raises:
            InputError: They are of another architecture.
        """
        for name, network, average in zip(
            ("embedder", "generator"), self.networks, self.averaged, strict=False
        ):
            load_into(network, under(name, weights), f"the {name}")
            load_into(average, under(name, weights), f"the {name}")
        discriminator = self.networks.discriminator
        own = dict(under("discriminator", weights))
        if own.get("columns.weight", torch.empty(0)).shape != discriminator.columns.weight.shape:
            own["columns.weight"] = discriminator.columns.weight.detach()
        load_into(discriminator, own, "the discriminator")


def embed(embedder: Embedder | SwiftEmbedder, batch: Batch) -> Tensor:
    """``e_i``: the mean embedding of each episode's K sources, ``[B, N]``."""
    n_batch, n_shots = batch.sources.shape[:2]
    one_by_one = embedder(
        as_signed(batch.sources.flatten(0, 1)), as_signed(batch.source_maps.flatten(0, 1))
    )
    mean: Tensor = one_by_one.reshape(n_batch, n_shots, -1).mean(dim=1)
    return mean


def truth_of(batch: Batch, discriminator: Discriminator) -> Truth:
    """Return what drawn frames of a batch are held against."""
    return Truth(
        image=as_signed(batch.target),
        map=as_signed(batch.target_map),
        w=discriminator.video_weights(batch.video),
        column=discriminator.columns(batch.video),
        mask=batch.mask.float() / 255,
        regions=batch.region.float() / 255,
    )


def _collect(terms: dict[str, list[Tensor]], new: Mapping[str, Tensor]) -> None:
    for name, value in new.items():
        terms.setdefault(name, []).append(value)
