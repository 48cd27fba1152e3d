"""Fine-tuning on a handful of pictures of one person (section 3.4 of arXiv:1905.08233).

Different from the paper: one picture is enough, because pairs are made from it; and training
ends by itself, at the step that gained most without losing the person's expressions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from thvideo.draft.cast import cast_of, without_cast
from thvideo.models.perceptual import PerceptualNet
from thvideo.models.presets import Networks
from thvideo.models.shown import Drawn, as_signed
from thvideo.models.swift import SwiftGenerator
from thvideo.shapes import F32Array
from thvideo.training.batch import Batch
from thvideo.training.change import EpisodeOptions
from thvideo.training.few_shot_data import LIGHT, Pairs, held_out
from thvideo.training.few_shot_probe import eyes_probe, mouth_probe
from thvideo.training.few_shot_watch import Point, StoppingRule, Watch
from thvideo.training.losses import (
    Judges,
    LossWeights,
    Truth,
    discriminator_step_loss,
    generator_step_loss,
)
from thvideo.training.self_pairs import Deformed, Shots, asked, deformed

#: Of the discriminator, W and w_0 stay behind: w' takes their place.
_OF_ALL_PEOPLE = ("columns.weight", "w_0")

#: Pairs of each kind that hold expressions, how far their heads turn (a standard deviation), and
#: how far their lips part, in outer eye distances.
_N_HELD, _YAW_DEG, _GAPS = 8, 6.0, (0.08, 0.32)

#: With fewer shots all are trained on; of as many or more, one in four measures.
_MANY, _ONE_IN = 3, 4


@dataclass(frozen=True)
class FewShotOptions:
    """How a person is learned.

    Args:
        size_px: Side of the pictures that are trained on.
        steps: Exactly so many, and the last is the result; None ends by itself.
        max_steps: The most if it ends by itself.
        measure_every: Steps between measurements.
        batch_size: Pairs in a step.
        lr: Learning rate of generator and ``psi'``.
        lr_d: Learning rate of discriminator and ``w'``.
        betas: Adam's.
        losses: How much each loss counts; there is no matching loss.
        expression: How much it counts that moving lips and lids change what they did before.
        pairs: How pairs are changed.
        n_batches: Different batches; after these they come again.
        n_deformed: Deformed sources that are made, over all shots.
        n_held_out: Pairs that measure.
        rule: When it ends.
        seed: Of all pairs.
    """

    size_px: int = 192
    steps: int | None = None
    max_steps: int = 96
    measure_every: int = 12
    batch_size: int = 4
    lr: float = 2e-4
    lr_d: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.99)
    losses: LossWeights = field(default_factory=lambda: LossWeights(l1=10.0, region=10.0, warp=5.0))
    expression: float = 20.0
    pairs: EpisodeOptions = LIGHT
    n_batches: int = 24
    n_deformed: int = 48
    n_held_out: int = 8
    rule: StoppingRule = field(default_factory=StoppingRule)
    seed: int = 0


@dataclass(frozen=True)
class Personal:
    """What was learned of a person.

    Args:
        generator: The generator's tensors by name.
        adain: ``[n_adain]`` ``psi'``.
        step: After how many steps.
    """

    generator: dict[str, Tensor]
    adain: Tensor
    step: int


class PersonalNetworks:
    """Generator and discriminator that become one person's.

    ``psi'`` starts as ``P e_NEW`` and ``w'`` as ``w_0 + e_NEW``; both are free from then on.

    Args:
        networks: Meta-learned; generator and discriminator are changed in place.
        embedding: ``[N]`` ``e_NEW``.
        options: Learning rates.
    """

    def __init__(self, networks: Networks, embedding: Tensor, options: FewShotOptions) -> None:
        self.generator, self.discriminator = networks.generator, networks.discriminator
        # In training mode every look through P would move its spectral norm a little.
        self.generator.eval()
        with torch.no_grad():
            adain = self.generator.adain_parameters(embedding[None])
            w = (self.discriminator.w_0 + embedding)[None]
        # Optimisers come last: built before psi' and w' are there, they would never train them.
        self.adain, self.w = nn.Parameter(adain.clone()), nn.Parameter(w.clone())
        own = dict(self.discriminator.named_parameters())
        judging = [own[name] for name in own if name not in _OF_ALL_PEOPLE]
        self.drawing = torch.optim.Adam(
            [*self.generator.parameters(), self.adain], options.lr, options.betas
        )
        self.judging = torch.optim.Adam([*judging, self.w], options.lr_d, options.betas)

    def draw(self, batch: Batch) -> Drawn:
        """Draw the frames of a batch."""
        drawn: Drawn = self.generator(batch.shown(), self.adain.expand(len(batch.video), -1))
        return drawn

    def truth(self, batch: Batch) -> Truth:
        """Return what drawn frames of a batch are held against."""
        return Truth(
            image=as_signed(batch.target),
            map=as_signed(batch.target_map),
            w=self.w,
            mask=batch.mask.float() / 255,
            regions=batch.region.float() / 255,
        )

    def learned(self, step: int) -> Personal:
        """Return a copy of what was learned so far."""
        tensors = {k: v.detach().clone() for k, v in self.generator.state_dict().items()}
        return Personal(tensors, self.adain.detach()[0].clone(), step)


def train_step(
    networks: PersonalNetworks,
    batch: Batch,
    losses: LossWeights,
    judges: Judges,
    held: Tensor | float = 0.0,
) -> dict[str, float]:
    """Do one step: generator and ``psi'``, then discriminator and ``w'``.

    Args:
        networks: What learns.
        batch: Pairs.
        losses: How much each loss counts.
        judges: The discriminator and the perceptual networks that the losses name.
        held: A loss of the generator beside these, such as of expression.

    Returns:
        The losses' terms.
    """
    truth, drawn = networks.truth(batch), networks.draw(batch)
    loss = generator_step_loss(drawn, None, truth, losses, judges)
    _update(networks.drawing, loss.total + held)
    terms = loss.terms
    if losses.adversarial or losses.feature_matching:
        judged = discriminator_step_loss(networks.discriminator, drawn.image, truth)
        _update(networks.judging, judged.total)
        terms = terms | judged.terms
    return {name: float(value) for name, value in terms.items()}


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


class FineTuning:
    """The fine-tuning of one person.

    Args:
        networks: Meta-learned; generator and discriminator are changed in place.
        shots: The person's crops, in any size.
        options: How.
        perceptual: The networks that the losses name; the first also measures the distance.
        embedding: ``[N]`` ``e_NEW``.
        device: Where.
    """

    def __init__(
        self,
        networks: Networks,
        shots: Shots,
        options: FewShotOptions,
        *,
        perceptual: Mapping[str, PerceptualNet],
        embedding: Tensor,
        device: torch.device,
    ) -> None:
        for network in networks:
            network.to(device)
        self._with_drafts = isinstance(networks.generator, SwiftGenerator)
        if self._with_drafts:
            # As the generator will be shown the person; heads are found as they will be.
            cast = cast_of(shots.crops[0], shots.landmarks[0])
            shots = replace(shots, crops=without_cast(shots.crops, cast))
        small = shots.resized(options.size_px)
        self.options, self._device = options, device
        self.n_steps = options.max_steps if options.steps is None else options.steps
        self._networks = PersonalNetworks(networks, embedding.to(device), options)
        self._judges = Judges(networks.discriminator, perceptual)
        n_used = len(shots) - _n_kept(len(shots))
        # The first shot is the best one; the last ones are kept.
        kept, used = small.part(n_used), small.part(0, n_used)
        n_held, n_made = -(-options.n_held_out // n_used), -(-options.n_deformed // n_used)
        changes = replace(options.pairs, with_drafts=self._with_drafts)
        made = self._deformed(shots.part(0, n_used), n_held + n_made)
        self.pairs = Pairs(used, [of[n_held:] for of in made], changes, options.seed)
        self.held_out = held_out(
            kept,
            used,
            [of[:n_held] for of in made],
            options.n_held_out,
            with_drafts=self._with_drafts,
        ).to(device)
        self._batches: dict[int, Batch] = {}

        def ask(faces: F32Array) -> Batch:
            return asked(small, 0, faces, with_drafts=self._with_drafts).to(device)

        measure = next(iter(perceptual.values()), None)
        face = small.landmarks[0]
        self.watch = Watch(self.held_out, face, ask, self._image, measure)
        # Other motions than those that are measured.
        rng = np.random.default_rng([options.seed, 2**31 + 1])
        yaws, gaps = rng.normal(0, _YAW_DEG, _N_HELD), rng.uniform(*_GAPS, _N_HELD)
        with torch.no_grad():
            self._expression = (
                mouth_probe(face, yaws, gaps, ask, self._image),
                eyes_probe(face, yaws, ask, self._image),
            )
        self.curve: list[Point] = []
        self.personal = self._networks.learned(0)

    def run(self) -> Iterator[Point]:
        """Train until it ends; yield the measurements.

        ``curve`` holds them too, and ``personal`` what was best so far.
        """
        options = self.options
        n_steps, is_free = self.n_steps, options.steps is None
        yield self._measure(0)
        for step in range(1, n_steps + 1):
            batch = self._batch(step).to(self._device)
            held = options.expression * self._expression[step % 2].lost(self._image, step // 2)
            train_step(self._networks, batch, options.losses, self._judges, held)
            if step % options.measure_every and step != n_steps:
                continue
            yield self._measure(step)
            if is_free and options.rule.has_ended(self.curve):
                break

    def _measure(self, step: int) -> Point:
        generator = self._networks.generator
        generator.eval()
        point = self.watch.measure(step, self._image)
        generator.train()
        self.curve.append(point)
        is_best = self.options.rule.best(self.curve) == len(self.curve) - 1
        if is_best or self.options.steps is not None:
            self.personal = self._networks.learned(step)
        return point

    @torch.no_grad()
    def _deformed(self, shots: Shots, n_each: int) -> list[list[Deformed]]:
        rng = np.random.default_rng([self.options.seed, 2**31])
        size_px = self.options.size_px
        return deformed(shots, size_px, n_each, rng, self._draw, with_drafts=self._with_drafts)

    def _batch(self, step: int) -> Batch:
        """Make a batch, or take it again: drafts take as long as a step on them."""
        number = step % self.options.n_batches
        if number not in self._batches:
            self._batches[number] = self.pairs.batch(number, self.options.batch_size)
        return self._batches[number]

    def _draw(self, batch: Batch) -> Drawn:
        return self._networks.draw(batch.to(self._device))

    def _image(self, batch: Batch) -> Tensor:
        return self._draw(batch).image


def _n_kept(n_shots: int) -> int:
    return -(-n_shots // _ONE_IN) if n_shots >= _MANY else 0
