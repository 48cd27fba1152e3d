"""How good the averaged networks are on fixed episodes of people they were never trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thvideo.models.perceptual import PerceptualNet, content_loss
from thvideo.shapes import U8Array
from thvideo.training.batch import Batch, as_signed
from thvideo.training.episodes import Episodes
from thvideo.training.learner import Drawing, embed
from thvideo.training.losses import masked_l1
from thvideo.training.metrics import ssim

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
                drawn, warped = drawn_and_warped(networks, on_device)
                for prefix, images in (("", drawn), ("warp_", warped)):
                    for name, value in self._compare(images, on_device).items():
                        share = len(batch.video) / n_episodes
                        totals[prefix + name] = totals.get(prefix + name, 0.0) + share * value
        return totals

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

        Returns:
            ``[H, W, 3]`` RGB.
        """
        rows = []
        for batch in self.batches:
            on_device = batch.to(device)
            with torch.no_grad():
                drawn, warped = drawn_and_warped(networks, on_device)
            pictures = [
                as_signed(on_device.sources[:, 0]),
                as_signed(on_device.target_map),
                warped,
                drawn,
                as_signed(on_device.target),
            ]
            rows += list(torch.cat(pictures, dim=3).cpu())  # [3, S, 5 S] each
            if len(rows) >= _PREVIEW_ROWS:
                break
        sheet = torch.cat(rows[:_PREVIEW_ROWS], dim=1).permute(1, 2, 0)
        shown: U8Array = ((sheet + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        return shown


def drawn_and_warped(networks: Drawing, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return what the networks draw, clamped to -1..1, and the draft."""
    embedder, generator = networks
    shown = batch.shown()
    drawn = generator(shown, generator.adain_parameters(embed(embedder, batch)))
    return drawn.image.float().clamp(-1, 1), shown.draft
