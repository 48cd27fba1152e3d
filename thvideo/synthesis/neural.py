"""The learned generators at work: any crop size, one embedding, one or several source crops.

The networks look at pictures of the side they were trained on. The swift generator's flow is
interpolated and joined with the draft's own, so that every pixel of the crop is fetched once, and
canvas and pores stay; where it says that nothing moves stands the first source crop itself; its
correction is added on top, and where it is strong the crop's fine detail gives way to it. Mouth and
eyes are drawn once more, at twice the detail, by its foveal networks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thvideo.draft.cast import cast_of, without_cast
from thvideo.draft.head import find_head
from thvideo.draft.warp_generator import Draft, WarpGenerator
from thvideo.landmarks.schema import amid_eyes
from thvideo.models.precision import Precision, arithmetic
from thvideo.models.shown import Shown
from thvideo.models.swift import SwiftGenerator
from thvideo.shapes import F32Array, F64Array, I64Array, U8Array, check_shape
from thvideo.synthesis.full_size import in_full, resized
from thvideo.synthesis.networks import (
    DrawingNetworks,
    landmark_images,
    resized_points,
    signed,
    small_pictures,
)
from thvideo.synthesis.patches import PatchPainter
from thvideo.synthesis.source_choice import choose_sources

#: The networks' pictures are averaged from drafts of so many times their side.
_SEEN = 2


class SourceCrops(NamedTuple):
    """The source crops as a generator is shown them, best first.

    Attributes:
        crops: ``[K, S, S, 3]`` RGB.
        landmarks: ``[K, 70, 2]`` in pixels of the crops.
    """

    crops: U8Array
    landmarks: F32Array


class NeuralGenerator:
    """Draws the source with a learned generator.

    Args:
        networks: Of a preset.
        source: The source crops; the first gives the picture that the crops return into.
        adain: ``[n_adain]``: ``P e`` of the identity, or what fine-tuning made of it.
        precision: Arithmetic of the networks.

    Raises:
        ValueError: Shapes do not fit.
    """

    def __init__(
        self,
        networks: DrawingNetworks,
        source: SourceCrops,
        adain: Tensor,
        precision: Precision = "fp32",
    ) -> None:
        sizes = check_shape(source.crops, "K S S 3")
        check_shape(source.landmarks, "K 70 2", K=sizes["K"])
        self.size_px, self._side = sizes["S"], networks.size_px
        self._networks, self._precision = networks, precision
        self.device = networks.device
        self._adain = adain.to(self.device, torch.float32)
        self._points = amid_eyes(source.landmarks)
        self._crops = source.crops
        self._maps = landmark_images(self._points, self.size_px, self._side, self.device)
        # The paper's generator draws from landmarks alone.
        self._drafts: list[WarpGenerator] = []
        self._painter: PatchPainter | None = None
        if isinstance(networks.generator, SwiftGenerator):
            self._drafts = [
                WarpGenerator(crop[None], points[None], self.device)
                for crop, points in zip(source.crops, self._points, strict=True)
            ]
            # What the networks are shown is as fine as they can see, and what they were trained on.
            seen_px = min(self.size_px, _SEEN * self._side)
            self._small = [
                WarpGenerator(resized(crop, seen_px)[None], points[None], self.device)
                for crop, points in zip(
                    source.crops,
                    resized_points(self._points, self.size_px, seen_px),
                    strict=True,
                )
            ]
            self._cast = cast_of(source.crops[0], self._points[0])
            still = resized(source.crops[0], self._side)
            head = find_head(still, resized_points(self._points[0], self.size_px, self._side))
            self._still = self._seen(still[None])
            self._still_head = torch.from_numpy(head)[None, None].to(self.device).float() / 255
            if networks.generator.fovea is not None:
                self._painter = PatchPainter(source.crops, self._points, self._cast, self.device)

    def settle(self, points: F64Array, cuts: Sequence[int] = ()) -> F64Array:
        """Bring a whole video's landmarks ``[T, 70, 2]`` within what the drafts can show.

        Each frame is held back as the crop that serves it folds, towards that crop, so that it
        is still the nearest afterwards.
        """
        settled = amid_eyes(points)
        if not self._drafts or len(points) == 0:
            return settled
        chosen = self.choose(points, cuts)
        edges = [*cuts, *(np.flatnonzero(np.diff(chosen)) + 1).tolist()]
        for source in np.unique(chosen):
            served = np.flatnonzero(chosen == source)
            # Where its frames are not each other's neighbours, holding back begins anew.
            own_edges = np.unique(np.searchsorted(served, edges)).tolist()
            settled[served] = self._drafts[source].settle(points[served], own_edges)
        return settled

    def choose(self, points: F64Array, cuts: Sequence[int] = ()) -> I64Array:
        """Choose the source crop of every frame of a whole video, ``[T]``."""
        return choose_sources(self._crops, self._points, points, cuts)

    def generate(self, points: F64Array, sources: I64Array | None = None) -> U8Array:
        """Draw adapted landmarks.

        Args:
            points: ``[B, 70, 2]`` in pixels of the crop.
            sources: ``[B]`` which source crop each frame is drawn from; the first if None.

        Returns:
            ``[B, S, S, 3]`` RGB.

        Raises:
            ValueError: A point is not finite.
        """
        check_shape(points, "B 70 2")
        points = amid_eyes(points)
        chosen = np.zeros(len(points), np.int64) if sources is None else sources
        generator = self._networks.generator
        with torch.inference_mode():
            adain = self._adain.expand(len(points), -1)
            target_map = landmark_images(points, self.size_px, self._side, self.device)
            source_map = self._maps[torch.from_numpy(chosen).to(self.device)]
            if isinstance(generator, SwiftGenerator):
                seen_at = resized_points(points, self.size_px, self._small[0].size_px)
                drafts, flow = _drafts(self._small, seen_at, chosen)
                small = np.stack([resized(draft, self._side) for draft in drafts])
                still, head = (
                    of_first.expand(len(points), -1, -1, -1)
                    for of_first in (self._still, self._still_head)
                )
                shown = Shown(target_map, self._seen(small), source_map, flow, still, head)
            else:
                nothing = target_map.new_zeros(len(points), 2, 2, 2)
                shown = Shown(target_map, target_map, source_map, nothing, target_map, nothing)
            # The networks alone: in bf16 a draft's places would be off by whole pixels.
            with arithmetic(self._precision, self.device):
                drawn = generator(shown, adain)
            if isinstance(generator, SwiftGenerator):
                moved = _drafts(self._drafts, points, chosen, drawn.flow).frames
                frames = in_full(moved, self._crops[0], drawn, self._cast)
                if self._painter is not None:
                    patches = self._painter.shown(frames, points)
                    with arithmetic(self._precision, self.device):
                        redrawn = generator.draw_patches(patches, adain)
                    self._painter.paint(frames, points, patches, redrawn)
                return frames
            pictures = small_pictures(drawn.image.float(), self.size_px)
            rounded = ((pictures + 1) * 127.5 + 0.5).clamp_(0, 255).to(torch.uint8)
            pixels: U8Array = rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return pixels

    def _seen(self, pictures: U8Array) -> Tensor:
        """Turn small pictures ``[B, s, s, 3]`` into what the swift networks see."""
        return signed(without_cast(pictures, self._cast), self.device)


def _drafts(
    generators: Sequence[WarpGenerator],
    points: F64Array,
    chosen: I64Array,
    then: Tensor | None = None,
) -> Draft:
    """Draw each frame with the generator of its chosen source, as ``WarpGenerator.draw`` does."""
    order = np.argsort(chosen, kind="stable")
    parts = [
        generators[source].draw(
            points[chosen == source],
            None if then is None else then[torch.from_numpy(chosen == source).to(then.device)],
        )
        for source in np.unique(chosen)
    ]
    # The parts lie in the sources' order: back to the frames' own.
    back = np.argsort(order)
    frames = np.concatenate([part.frames for part in parts])[back]
    flow = torch.cat([part.flow for part in parts])
    return Draft(frames, flow[torch.from_numpy(back).to(flow.device)])


def feed_forward(networks: DrawingNetworks, embedding: F32Array) -> Tensor:
    """Return ``P e`` of an identity ``[N]``: the AdaIN parameters ``[n_adain]`` untuned."""
    with torch.inference_mode():
        e = torch.from_numpy(embedding).to(networks.device)
        return networks.generator.adain_parameters(e[None])[0]
