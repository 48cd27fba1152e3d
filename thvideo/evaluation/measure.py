"""Everything that is measured of one method and one take, kept so that nothing is done twice."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from thvideo.evaluation.cell import Cell
from thvideo.evaluation.figures import OF_MOUTH, PERCEPTUAL
from thvideo.evaluation.frechet import Inception
from thvideo.evaluation.likeness import EVERY, FaceDescriptor, csim, missing_extra
from thvideo.evaluation.methods import Drawn
from thvideo.evaluation.motion import find_points, follows, jitter, landmark_error
from thvideo.evaluation.parts import mouths, part_details, whole_patch
from thvideo.evaluation.pixels import perceptual_distances, pixel_figures, seam_contrast
from thvideo.evaluation.scene import Scene
from thvideo.landmarks.bundled import LANDMARK_WEIGHT, BundledTracker
from thvideo.models.perceptual import LINEAR_FILE, PerceptualNet, perceptual_net
from thvideo.models.perceptual import PERCEPTUAL as PRESETS
from thvideo.shapes import F32Array
from thvideo.weights.cards import shipped_weight
from thvideo.workspace.keys import DigestMemo, stage_key

#: Raised when the figures of unchanged frames would change.
_VERSION = 2


class Seen:
    """One method's frames of one take, drawn when they are first needed.

    Args:
        cell: Where what is made of them is kept.
        key: Of all that the frames depend on.
        draw: Draws them.
    """

    def __init__(self, cell: Cell, key: str, draw: Callable[[], Drawn]) -> None:
        self.cell, self.key, self._draw = cell, key, draw

    @cached_property
    def drawn(self) -> Drawn:
        """The frames."""
        return self._draw()


class Ruler:
    """Measures; its networks are loaded when they are first needed.

    Args:
        perceptual: Files of perceptual networks by preset.
        inception: TorchScript network of FID; None leaves FID out.
        device: Where networks compute.
        digests: Of files.

    Raises:
        InputError: A network's file is missing or holds something else.
        UsageError: There is no such preset.
    """

    def __init__(
        self,
        perceptual: Mapping[str, Path],
        inception: Path | None,
        device: torch.device,
        digests: DigestMemo,
    ) -> None:
        self._device = device
        self._nets = {
            name: (_ready(perceptual_net(name, path), device), _digest(name, path, digests))
            for name, path in perceptual.items()
        }
        self._inception = None if inception is None else Inception(inception, device)
        self._inception_digest = "" if inception is None else digests.digest(inception)
        self.tracker_digest = digests.digest(shipped_weight(LANDMARK_WEIGHT))
        self.missing_extra = missing_extra()

    @cached_property
    def tracker(self) -> BundledTracker:
        """Finds landmarks; its weights are those of ``tracker_digest``."""
        return BundledTracker(str(self._device))

    @cached_property
    def _descriptor(self) -> FaceDescriptor:
        return FaceDescriptor()

    def figures(self, scene: Scene, seen: Seen, truth: Seen) -> dict[str, float]:
        """Return the figures of a take; what cannot be said of it is left out."""
        found = self._motion(scene, seen, truth)
        # The driver's own frames of another person's picture are pasted nowhere.
        if scene.take.is_self or seen is not truth:
            found["seam"] = _mean(self._seam(scene, seen))
        if scene.take.is_self:
            per_frame = self._pixels(scene, seen, truth)
            found |= {name: _mean(values) for name, values in per_frame.items()}
            parts = self._details(scene, seen, truth)
            found |= {name: _mean(values) for name, values in parts.items()}
            for name in self._nets:
                found[f"{PERCEPTUAL}{name}"] = _mean(self._perceptual(name, scene, seen, truth))
                found[f"{OF_MOUTH}{name}"] = _mean(self._of_mouth(name, scene, seen, truth))
        if self.missing_extra is None:
            found["csim"] = self._csim(scene, seen, truth)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def frame_ssim(self, scene: Scene, seen: Seen, truth: Seen) -> F32Array:
        """Return the SSIM of every frame ``[T]`` of a self-reenactment."""
        return self._pixels(scene, seen, truth)["ssim"]

    def features(self, seen: Seen) -> F32Array | None:
        """Return Inception's features ``[T, C]``; None without that network."""
        network = self._inception
        if network is None:
            return None
        made = seen.cell.arrays(
            "inception",
            self._key("inception", seen, inception=self._inception_digest),
            lambda: {"features": network.features(seen.drawn.frames)},
        )
        return np.asarray(made["features"], np.float32)

    def _motion(self, scene: Scene, seen: Seen, truth: Seen) -> dict[str, float]:
        found, wanted, starts = self._points(seen), self._points(truth), scene.take.starts
        figures = follows(found, wanted)
        figures["jitter"] = jitter(found, starts) - jitter(wanted, starts)
        if scene.take.is_self:
            figures["landmark_error"] = landmark_error(found, wanted)
        return figures

    def _points(self, seen: Seen) -> F32Array:
        key = self._key("points", seen, tracker=self.tracker_digest)

        def make() -> dict[str, F32Array]:
            drawn = seen.drawn
            return {"points": find_points(self.tracker, drawn.frames, drawn.points)}

        return np.asarray(seen.cell.arrays("points", key, make)["points"], np.float32)

    def _pixels(self, scene: Scene, seen: Seen, truth: Seen) -> dict[str, F32Array]:
        made = seen.cell.arrays(
            "pixels",
            self._key("pixels", seen, truth=truth.key, mask=scene.take.source.kind),
            lambda: pixel_figures(seen.drawn.frames, scene.truth, scene.mask, scene.regions),
        )
        return {name: np.asarray(values, np.float32) for name, values in made.items()}

    def _perceptual(self, name: str, scene: Scene, seen: Seen, truth: Seen) -> F32Array:
        net, digest = self._nets[name]

        def make() -> dict[str, F32Array]:
            frames = seen.drawn.frames
            found = perceptual_distances(net, frames, scene.truth, scene.mask, self._device)
            return {"distance": found}

        masked = scene.take.source.kind
        key = self._key(name, seen, truth=truth.key, network=digest, mask=masked)
        return np.asarray(seen.cell.arrays(name, key, make)["distance"], np.float32)

    def _details(self, scene: Scene, seen: Seen, truth: Seen) -> dict[str, F32Array]:
        made = seen.cell.arrays(
            "details",
            self._key("details", seen, truth=truth.key),
            lambda: part_details(seen.drawn.frames, scene.truth, scene.driver_points),
        )
        return {name: np.asarray(values, np.float32) for name, values in made.items()}

    def _of_mouth(self, name: str, scene: Scene, seen: Seen, truth: Seen) -> F32Array:
        net, digest = self._nets[name]

        def make() -> dict[str, F32Array]:
            drawn, true = (
                mouths(frames, scene.driver_points) for frames in (seen.drawn.frames, scene.truth)
            )
            return {"distance": perceptual_distances(net, drawn, true, whole_patch(), self._device)}

        what = f"{name}-of-mouth"
        key = self._key(what, seen, truth=truth.key, network=digest)
        return np.asarray(seen.cell.arrays(what, key, make)["distance"], np.float32)

    def _seam(self, scene: Scene, seen: Seen) -> F32Array:
        def make() -> dict[str, F32Array]:
            first = scene.shots(1)
            return {"seam": seam_contrast(seen.drawn.frames, first.crops[0], first.valid[0])}

        made = seen.cell.arrays("seam", self._key("seam", seen), make)
        return np.asarray(made["seam"], np.float32)

    def _csim(self, scene: Scene, seen: Seen, truth: Seen) -> float:
        if scene.take.is_self:
            return csim(self._faces(seen), self._faces(truth))

        def make() -> dict[str, F32Array]:
            first = scene.shots(1)
            return {"faces": self._descriptor.describe(first.crops, first.landmarks)}

        source = seen.cell.arrays("source-face", self._key("source-face", seen), make)["faces"]
        return csim(self._faces(seen), np.asarray(source, np.float32))

    def _faces(self, seen: Seen) -> F32Array:
        def make() -> dict[str, F32Array]:
            points = self._points(seen)
            return {"faces": self._descriptor.describe(seen.drawn.frames, points)}

        key = self._key("faces", seen, tracker=self.tracker_digest, every=str(EVERY))
        return np.asarray(seen.cell.arrays("faces", key, make)["faces"], np.float32)

    def _key(self, what: str, seen: Seen, **depends: str) -> str:
        return stage_key(f"evaluate-{what}", _VERSION, {}, {"frames": seen.key}, depends)


def _ready(net: PerceptualNet, device: torch.device) -> PerceptualNet:
    moved = net.to(device)
    # torch's types know no memory format beside a device.
    last: PerceptualNet = moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return last


def _digest(name: str, path: Path, digests: DigestMemo) -> str:
    """Return the digests of a perceptual network's file and of the linear layers beside it."""
    preset = PRESETS[name]
    file = path / preset.file if path.is_dir() else path
    files = [file, file.with_name(LINEAR_FILE)] if preset.has_linear else [file]
    return "+".join(digests.digest(one) for one in files)


def _mean(values: F32Array) -> float:
    """Return the mean of what is known and finite; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
