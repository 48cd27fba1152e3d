"""The networks of a run and one step of their training (sections 3.2 and 3.3 of the paper)."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from thvideo.errors import InputError
from thvideo.models.discriminator import Discriminator
from thvideo.models.embedder import Embedder
from thvideo.models.generator import PaperGenerator
from thvideo.models.perceptual import PerceptualNet
from thvideo.models.precision import arithmetic
from thvideo.models.presets import ModelOptions, Networks, build_networks
from thvideo.models.shown import Drawn, DrawnPatches, as_signed
from thvideo.models.spectral import settle_spectral_norms
from thvideo.models.swift import SwiftEmbedder, SwiftGenerator
from thvideo.training.batch import Batch
from thvideo.training.checkpoint import (
    Tensors,
    load_into,
    optimizer_tensors,
    restore_optimizer,
    under,
    with_prefix,
)
from thvideo.training.labels import BACKWARD, FORWARD, UPDATE
from thvideo.training.losses import (
    Judges,
    LossWeights,
    StepLoss,
    Truth,
    discriminator_step_loss,
    generator_step_loss,
)
from thvideo.training.meta_options import HowToRun, MetaOptions, without_adversary
from thvideo.training.patch_losses import patch_discriminator_loss, patch_generator_loss
from thvideo.training.processes import ALONE, Processes

#: The first steps of an average follow the weights closely: a long average of few steps would
#: mostly hold the first weights.
_EMA_WARMUP = 10.0


#: How foveal tensors of a generator and of a discriminator begin.
_FOVEAL = ("fovea.", "patches.")


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
        how: Where, and whether compiled.
        perceptual: The perceptual networks that the losses name.
        processes: Who trains the same networks beside this process.

    Attributes:
        networks: As they are being trained.
        averaged: The moving averages of embedder and generator; the ones to use.
        step: Steps that were done.
        rate_scale: What the learning rates are multiplied by.
    """

    def __init__(
        self,
        options: MetaOptions,
        models: ModelOptions,
        n_videos: int,
        how: HowToRun,
        perceptual: Mapping[str, PerceptualNet],
        processes: Processes = ALONE,
    ) -> None:
        self.options, self.models, self.device = options, models, how.device
        self._processes = processes
        torch.manual_seed(options.seed)
        self.networks = build_networks(models, n_videos)
        for network in self.networks:
            # The types of torch know no memory format beside a device.
            network.to(how.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Drawing(
            copy.deepcopy(self.networks.embedder), copy.deepcopy(self.networks.generator)
        )
        for average in self.averaged:
            average.eval().requires_grad_(False)
        self.judges = Judges(self.networks.discriminator, perceptual)
        self._trains_whole = options.trained == "all"
        if not self._trains_whole:
            _hold_all_but_foveal(self.networks)
        self.step, self.rate_scale = 0, 1.0
        embedder, generator, discriminator = self.networks
        if how.compiled:
            for network in self.networks:
                network.compile()
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
            parts: This process's share of the batch, in as many parts as gradients are
                accumulated over.

        Returns:
            The losses' terms and the gradients' norms, over all processes.
        """
        self._set_rates()
        embedder, generator, discriminator = self.networks
        terms: dict[str, list[Tensor]] = {}
        drawn = []
        with_judge = self.is_adversarial
        for part in parts:
            with record_function(FORWARD):
                with self.arithmetic():
                    embedding = embed(embedder, part)
                    adain = generator.adain_parameters(embedding)
                    picture = generator(part.shown(), adain)
                losses = []
                if self._trains_whole:
                    losses.append(self._generator_loss(picture, embedding, part, with_judge))
                patches = self._draw_patches(part, picture, adain)
                if patches is not None:
                    losses.append(self._patch_loss(patches, part, with_judge))
            _learn_from(losses, len(parts), terms)
            drawn.append((picture.image.detach(), patches and _detached(patches)))
        norms = {"gradient": self._update([embedder, generator], "generator")}
        for _ in range(self.options.d_steps if with_judge else 0):
            for part, (image, patches) in zip(parts, drawn, strict=True):
                with record_function(FORWARD), self.arithmetic():
                    losses = []
                    if self._trains_whole:
                        truth = truth_of(part, discriminator)
                        losses.append(discriminator_step_loss(discriminator, image, truth))
                    if patches is not None and part.patches is not None:
                        losses.append(
                            patch_discriminator_loss(patches, part.patches, discriminator)
                        )
                _learn_from(losses, len(parts), terms)
            norms["gradient_d"] = self._update([discriminator], "discriminator", "columns")
        with record_function(UPDATE):
            self._average()
        self.step += 1
        means = [torch.stack(values).float().mean() for values in terms.values()]
        # One transfer from the device for all numbers.
        told = self._processes.mean(torch.stack([*means, *norms.values()])).tolist()
        return dict(zip([*terms, *norms], told, strict=True))

    def _generator_loss(
        self, picture: Drawn, embedding: Tensor, part: Batch, with_judge: bool
    ) -> StepLoss:
        truth = truth_of(part, self.networks.discriminator)
        with self.arithmetic():
            return generator_step_loss(
                picture, embedding, truth, self._weights(with_judge), self.judges
            )

    def _draw_patches(self, part: Batch, drawn: Drawn, adain: Tensor) -> DrawnPatches | None:
        """Draw mouths and eyes over what the generator drew; None without foveal networks."""
        generator = self.networks.generator
        if part.patches is None or not isinstance(generator, SwiftGenerator):
            return None
        # Places of pixels are single precision, as everywhere.
        shown = part.patches.shown(drawn)
        with self.arithmetic():
            return generator.draw_patches(shown, adain)

    def _patch_loss(self, drawn: DrawnPatches, part: Batch, with_judge: bool) -> StepLoss:
        assert part.patches is not None
        with self.arithmetic():
            return patch_generator_loss(
                drawn, part.patches, self._weights(with_judge), *self.judges
            )

    def _weights(self, with_judge: bool) -> LossWeights:
        losses = self.options.losses
        return losses if with_judge else without_adversary(losses)

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context in which the networks run."""
        return arithmetic(self.options.precision, self.device)

    def _set_rates(self) -> None:
        rise = min(1.0, (self.step + 1) / max(1, self.options.warmup))
        rates = {"generator": self.options.lr}
        for name, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.rate_scale * rise * rates.get(name, self.options.lr_d)

    def _update(self, networks: Sequence[nn.Module], *optimizers: str) -> Tensor:
        """Take the gradients' step; return their norm before it was cut."""
        with record_function(UPDATE):
            parameters = [p for net in networks for p in net.parameters() if p.grad is not None]
            self._processes.average_gradients(parameters)
            dense = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
            limit = self.options.clip_norm or float("inf")
            norm = nn.utils.clip_grad_norm_(dense, limit)
            for name in optimizers:
                self._optimizers[name].step()
                self._optimizers[name].zero_grad(set_to_none=True)
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (_EMA_WARMUP + self.step))
        for average, net in zip(self.averaged, self.networks, strict=False):
            for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            # Vectors of spectral norms are no numbers to average: their length would not be 1.
            for held, seen in zip(average.buffers(), net.buffers(), strict=True):
                held.copy_(seen)

    def settled(self) -> Drawing:
        """Return the averaged networks with spectral norms that are those of their weights."""
        for average in self.averaged:
            settle_spectral_norms(average)
        return self.averaged

    def weights(self) -> Tensors:
        """Return what is exported: averaged embedder and generator, and the discriminator."""
        embedder, generator = self.settled()
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
            InputError: It is of another architecture or another number of clips.
        """
        n_columns = len(weights.get("discriminator.columns.weight", ()))
        if n_columns != self.networks.discriminator.columns.num_embeddings:
            raise InputError(
                f"the checkpoint was trained on {n_columns} clips, and the dataset has "
                f"{self.networks.discriminator.columns.num_embeddings}",
                hint="give the same dataset, or begin a new run from the weights with --init",
            )
        self.start_from(weights)
        for name, network in zip(("embedder", "generator"), self.networks, strict=False):
            load_into(network, under(name, training), f"the checkpoint's {name}")
        for name, optimizer in self._optimizers.items():
            restore_optimizer(optimizer, under(f"adam_{name}", training))
        self.step = step

    def start_from(self, weights: Tensors) -> None:
        """Begin with weights of another run; columns of W for other videos are left out.

        Exported weights have no columns, and some have no discriminator at all: what is not there
        stays as it is.

        Raises:
            InputError: They are of another architecture.
        """
        for name, network, average in zip(
            ("embedder", "generator"), self.networks, self.averaged, strict=False
        ):
            for one in (network, average):
                load_into(one, _with_foveal(under(name, weights), one), f"the {name}")
        discriminator = self.networks.discriminator
        own = under("discriminator", weights)
        if not own:
            return
        if own.get("columns.weight", torch.empty(0)).shape != discriminator.columns.weight.shape:
            own["columns.weight"] = discriminator.columns.weight.detach()
        load_into(discriminator, _with_foveal(own, discriminator), "the discriminator")


def _detached(patches: DrawnPatches) -> DrawnPatches:
    return DrawnPatches(*(patch.detach() for patch in patches))


def _with_foveal(given: Tensors, network: nn.Module) -> Tensors:
    """Add a network's own foveal tensors where given ones, of old, have none of them."""
    if any(name.startswith(_FOVEAL) for name in given):
        return given
    return given | {k: v for k, v in network.state_dict().items() if k.startswith(_FOVEAL)}


def _hold_all_but_foveal(networks: Networks) -> None:
    for network in networks:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(_FOVEAL))


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


def _learn_from(losses: Sequence[StepLoss], n_parts: int, terms: dict[str, list[Tensor]]) -> None:
    """Let gradients of a part's losses flow, and collect what they say."""
    with record_function(BACKWARD):
        total = sum((loss.total for loss in losses[1:]), losses[0].total)
        (total / n_parts).backward()  # type: ignore[no-untyped-call]
    for loss in losses:
        _collect(terms, loss.terms)


def _collect(terms: dict[str, list[Tensor]], new: Mapping[str, Tensor]) -> None:
    for name, value in new.items():
        terms.setdefault(name, []).append(value)
