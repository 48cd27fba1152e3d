"""The methods that are held against each other; the product's own classes do the drawing."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from thvideo.draft.warp_generator import WarpGenerator
from thvideo.evaluation.scene import Scene, resized
from thvideo.models.perceptual import PerceptualNet, perceptual_net
from thvideo.models.precision import Precision
from thvideo.shapes import F32Array, U8Array
from thvideo.stages.embed import Embed
from thvideo.stages.finetune import Finetune
from thvideo.stages.reenact import Reenact
from thvideo.synthesis.batching import frames_at_once, in_batches
from thvideo.synthesis.generator import Generator
from thvideo.synthesis.networks import (
    DrawingNetworks,
    become_personal,
    embed_crops,
    load_networks,
)
from thvideo.synthesis.neural import NeuralGenerator, SourceCrops, feed_forward
from thvideo.training.few_shot import FineTuning
from thvideo.training.few_shot_start import few_shot_options, meta_learned
from thvideo.training.self_pairs import Shots
from thvideo.weights.cards import Card, sha256_of_tensors
from thvideo.weights.personal import PERSONAL, PersonalWeights, save_personal
from thvideo.workspace.durable import scratch_folder
from thvideo.workspace.keys import DigestMemo

FINETUNED = "-finetuned"


@dataclass(frozen=True)
class Drawing:
    """Where and how to draw.

    Args:
        device: Where.
        precision: Arithmetic of the networks.
        batch_size: Frames at once; 0 is the pipeline's own number.
    """

    device: torch.device
    precision: Precision = "fp32"
    batch_size: int = 0


@dataclass(frozen=True)
class Drawn:
    """What a method made of a take.

    Args:
        frames: ``[T, S, S, 3]`` RGB.
        points: ``[T, 70, 2]`` about where the face lies in them: the tracker looks there first.
    """

    frames: U8Array
    points: F32Array


class Method(Protocol):
    """Draws takes."""

    @property
    def name(self) -> str:
        """What its rows are called."""
        ...

    @property
    def n_shots(self) -> int | None:
        """How many source frames it always takes, 0 if none; None if it takes all it gets."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether what it draws is worth keeping on the disk."""
        ...

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Return what its drawings depend on beside the clips: JSON values, no paths.

        Raises:
            InputError: A file of the person's cannot be read.
        """
        ...

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Draw a take from so many source frames.

        Raises:
            InputError: A clip or a file of the person's is damaged.
        """
        ...


class Truth:
    """The true frames themselves; in cross-reenactment the driver's. The ruler's floor."""

    name, n_shots, is_kept = "truth", 0, False

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on nothing else."""
        del take_name
        return {}

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Return the driver's frames, as large as what others draw."""
        del n_shots
        scale = np.float32(scene.size_px / scene.truth.shape[1])
        return Drawn(resized(scene.truth, scene.size_px), scene.driver_points * scale)


class Copied:
    """The first source frame, whatever is asked for."""

    name, n_shots, is_kept = "source", 1, False

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on nothing else."""
        del take_name
        return {}

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Repeat the source frame."""
        shot, n_frames = scene.shots(n_shots), len(scene.take.wanted)
        return Drawn(
            np.repeat(shot.crops[:1], n_frames, axis=0),
            np.repeat(shot.landmarks[:1], n_frames, axis=0),
        )


class Warped:
    """The warp generator."""

    name, n_shots, is_kept = "warp", 1, True

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on how the product draws."""
        del take_name
        return {"reenact": Reenact.version}

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Draw as ``reenact --generator warp`` does."""
        shot = scene.shots(n_shots)
        generator = WarpGenerator(shot.crops, shot.landmarks, self._drawing.device)
        return _drawn(generator, scene, self._drawing)


class Learned:
    """A learned generator, feed-forward.

    Args:
        name: What its rows are called.
        weights: The file.
        card: What the file says of itself.
        drawing: Where and how.
    """

    n_shots, is_kept = None, True

    def __init__(self, name: str, weights: Path, card: Card, drawing: Drawing) -> None:
        self.name, self._weights, self._card, self._drawing = name, weights, card, drawing

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on the weights and on how the product draws."""
        del take_name
        said = {name: self._card[name] for name in ("preset", "options", "size_px")}
        said |= {"embed": Embed.version, "reenact": Reenact.version}
        return said | {"tensors": self._digest, "precision": self._drawing.precision}

    @cached_property
    def _digest(self) -> str:
        return sha256_of_tensors(self._weights)

    @cached_property
    def _networks(self) -> DrawingNetworks:
        return load_networks(self._weights, self._card["preset"], self._drawing.device)

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Draw as ``reenact`` does without fine-tuning."""
        shots, networks = scene.shots(n_shots), self._networks
        adain = feed_forward(networks, embed_crops(networks, shots.crops, shots.landmarks))
        return _drawn(self._generator(networks, shots, adain), scene, self._drawing)

    def _generator(
        self, networks: DrawingNetworks, shots: Shots, adain: torch.Tensor
    ) -> NeuralGenerator:
        source = SourceCrops(shots.crops, shots.landmarks)
        return NeuralGenerator(networks, source, adain, self._drawing.precision)


@dataclass(frozen=True)
class Looks:
    """Perceptual networks that fine-tuning compares pictures with.

    Args:
        files: Of each network, by preset.
        memo: Digests of files.
    """

    files: Mapping[str, Path]
    memo: DigestMemo

    def networks(self, device: torch.device) -> dict[str, PerceptualNet]:
        """Load them.

        Raises:
            InputError: A file is missing or holds something else.
        """
        return {name: perceptual_net(name, path).to(device) for name, path in self.files.items()}

    def digests(self) -> dict[str, str]:
        """Return what a fine-tuned generator depends on."""
        return {name: self.memo.digest(path) for name, path in self.files.items()}


class FineTuned(Learned):
    """A learned generator, fine-tuned on the source frames until it ends by itself.

    Args:
        name: What its rows are called.
        weights: The file.
        card: What the file says of itself.
        drawing: Where and how.
        looks: What it looks through.
    """

    def __init__(
        self, name: str, weights: Path, card: Card, drawing: Drawing, looks: Looks
    ) -> None:
        super().__init__(name, weights, card, drawing)
        self._looks = looks
        self._options = few_shot_options(card, tuple(looks.files))

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on how the product fine-tunes too: losses count as the card says."""
        tuning = {"finetune": Finetune.version, "tuning": asdict(self._options)}
        return {**super().made_of(take_name), **tuning, "looks": self._looks.digests()}

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Draw as ``reenact --finetune-steps -1`` does."""
        shots, preset = scene.shots(n_shots), self._card["preset"]
        embedding = embed_crops(self._networks, shots.crops, shots.landmarks)
        networks, card = meta_learned(self._weights, preset)
        tuning = FineTuning(
            networks,
            shots,
            self._options,
            perceptual=self._looks.networks(self._drawing.device),
            embedding=torch.from_numpy(embedding),
            device=self._drawing.device,
        )
        for _ in tuning.run():
            pass
        said = {name: card[name] for name in ("preset", "options", "draw_style")}
        personal = PersonalWeights(tuning.personal.generator, tuning.personal.adain, said)
        own = load_networks(self._weights, preset, self._drawing.device)
        with scratch_folder(Path(tempfile.gettempdir())) as folder:
            save_personal(folder / PERSONAL, personal)
            adain = become_personal(own, folder / PERSONAL)
        return _drawn(self._generator(own, shots, adain), scene, self._drawing)


def _drawn(generator: Generator, scene: Scene, drawing: Drawing) -> Drawn:
    """Draw what is wanted as reenact does: held within what can be drawn, in batches."""
    cuts = scene.take.starts[1:]
    points = generator.settle(scene.wanted, cuts)
    sources = generator.choose(points, cuts)
    batches = in_batches(
        len(points),
        frames_at_once(drawing.device.type, 1, drawing.batch_size),
        lambda part: generator.generate(points[part], sources[part]),
    )
    frames = np.concatenate([crops for _, crops in batches])
    return Drawn(frames, scene.wanted.astype(np.float32))
