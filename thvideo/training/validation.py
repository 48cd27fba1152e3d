"""How good the averaged networks are on fixed episodes of people they were never trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from thvideo.models.perceptual import PerceptualNet, content_loss
from thvideo.models.shown import DrawnPatches, Patches, as_signed
from thvideo.models.swift import SwiftGenerator
from thvideo.shapes import U8Array
from thvideo.training.batch import Batch
from thvideo.training.episodes import Episodes
from thvideo.training.learner import Drawing, embed
from thvideo.training.losses import masked_l1
from thvideo.training.metrics import ssim
from thvideo.training.patch_losses import each_part

#: Episodes drawn at once.
_BATCH = 8

#: Columns of a preview: source, landmark image, warp, result, truth.
_PREVIEW_ROWS = 8


@dataclass(frozen=True)
class Validation:
    """Fixed episodes, in batches.

    Args:
        batches: All episodes have one source: the usual case.
        perceptual: The network that measures; None measures differences of pixels.
    """

    batches: tuple[Batch, ...]
    perceptual: PerceptualNet | None

    @classmethod
    def of(
        cls, episodes: Episodes, n_episodes: int, perceptual: Mapping[str, PerceptualNet]
    ) -> "Validation":
        """Cut the episodes of a run."""
        fixed = episodes.fixed(n_episodes, 1)
        parts = [fixed[i : i + _BATCH] for i in range(0, len(fixed), _BATCH)]
        measure = next(iter(perceptual.values()), None)
        return cls(tuple(episodes.stacked(part) for part in parts), measure)

    def measure(self, networks: Drawing, device: torch.device) -> dict[str, float]:
        """Measure an embedder and a generator; the draft beside it.

        Returns:
            Means over the episodes: ``ssim``, ``l1``, ``region_l1`` and ``content``, and the
            same of the draft as ``warp_ssim`` and so on.
        """
        totals: dict[str, float] = {}
        n_episodes = sum(len(batch.video) for batch in self.batches)
        for batch in self.batches:
            on_device = batch.to(device)
            with torch.no_grad():
                drawn = draw(networks, on_device)
                found = self._compare(drawn.image, on_device)
                warped = self._compare(on_device.shown().draft, on_device)
                found |= {f"warp_{name}": value for name, value in warped.items()}
                found |= self._patches(drawn, on_device)
            share = len(batch.video) / n_episodes
            for name, value in found.items():
                totals[name] = totals.get(name, 0.0) + share * value
        return totals

    def _patches(self, drawn: "WholeAndPatches", batch: Batch) -> dict[str, float]:
        """Measure what the foveal networks drew, and beside it what they drew it over."""
        if drawn.patches is None or drawn.base is None or batch.patches is None:
            return {}
        values: dict[str, Tensor] = {}
        for index, (name, part) in enumerate(each_part(batch.patches)):
            truth = as_signed(part.truth)
            mask, region = part.mask.float() / 255, part.region.float() / 255
            for prefix, image in (
                (name, drawn.patches[index]),
                (f"{name}_base", drawn.base[index].base),
            ):
                image = image.float().clamp(-1, 1)
                values[f"{prefix}_l1"] = masked_l1(image, truth, mask * region)
                if self.perceptual is not None:
                    content = content_loss(self.perceptual, image, truth, mask)
                    values[f"{prefix}_content"] = content
        return {name: float(value) for name, value in values.items()}

    def _compare(self, images: Tensor, batch: Batch) -> dict[str, float]:
        truth, mask = as_signed(batch.target), batch.mask.float() / 255
        region = batch.region.float() / 255 * mask
        values = {
            # Of masks without a whole window nothing can be said.
            "ssim": ssim(images, truth, data_range=2.0, mask=mask).nanmean(),
            "l1": masked_l1(images, truth, mask),
            "region_l1": masked_l1(images, truth, region),
        }
        if self.perceptual is not None:
            values["content"] = content_loss(self.perceptual, images, truth, mask)
        return {name: float(value) for name, value in values.items()}

    def preview(self, networks: Drawing, device: torch.device) -> U8Array:
        """Draw some episodes: source, landmark image, warp, result and truth in a row each.

        Where patches are drawn, mouth and right eye follow: before, drawn and true.

        Returns:
            ``[H, W, 3]`` RGB.
        """
        rows = []
        for batch in self.batches:
            on_device = batch.to(device)
            with torch.no_grad():
                drawn = draw(networks, on_device)
            pictures = [
                as_signed(on_device.sources[:, 0]),
                as_signed(on_device.target_map),
                on_device.shown().draft,
                drawn.image,
                as_signed(on_device.target),
                *_patch_pictures(drawn, on_device),
            ]
            rows += list(torch.cat(pictures, dim=3).cpu())  # [3, S, 5 S] each
            if len(rows) >= _PREVIEW_ROWS:
                break
        sheet = torch.cat(rows[:_PREVIEW_ROWS], dim=1).permute(1, 2, 0)
        shown: U8Array = ((sheet + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        return shown


class WholeAndPatches(NamedTuple):
    """What the networks drew of a batch, in -1..1.

    Attributes:
        image: ``[B, 3, S, S]``.
        base: What the foveal networks were shown; None without patches.
        patches: What they drew.
    """

    image: Tensor
    base: Patches | None
    patches: DrawnPatches | None


def draw(networks: Drawing, batch: Batch) -> WholeAndPatches:
    """Return what the networks draw of a batch."""
    embedder, generator = networks
    adain = generator.adain_parameters(embed(embedder, batch))
    drawn = generator(batch.shown(), adain)
    image = drawn.image.float().clamp(-1, 1)
    if batch.patches is None or not isinstance(generator, SwiftGenerator):
        return WholeAndPatches(image, None, None)
    base = batch.patches.shown(drawn)
    return WholeAndPatches(image, base, generator.draw_patches(base, adain))


def _patch_pictures(drawn: WholeAndPatches, batch: Batch) -> list[Tensor]:
    if drawn.patches is None or drawn.base is None or batch.patches is None:
        return []
    side = batch.target.shape[-1]
    pictures = [
        (drawn.base.mouth.base, drawn.patches.mouth, batch.patches.mouth.truth),
        (drawn.base.eyes.base[::2], drawn.patches.eyes[::2], batch.patches.eyes.truth[::2]),
    ]
    of_mouth, of_eye = (
        torch.cat([before, after.float().clamp(-1, 1), as_signed(truth)], dim=3)
        for before, after, truth in pictures
    )
    # One above the other, as high as the pictures beside them.
    both = [functional.interpolate(one, (side // 2, 2 * side)) for one in (of_mouth, of_eye)]
    return [torch.cat(both, dim=2)]
