"""Fine-tune: adapt a learned generator to the source identity."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from thvideo.models.content_weights import FEW_SHOT_CONTENT
from thvideo.stages.base import GeneratorName, Job, Notice, Progress, StageEvent


@dataclass(frozen=True)
class Finetune:
    """Fine-tune the generator on the source crops.

    Inputs: ``identity`` (embed). Files: ``weights``; of each perceptual network of
    ``FEW_SHOT_CONTENT`` that there is, under its name.

    Args:
        generator: Which generator is fine-tuned; ``warp`` has no weights, so nothing is done.
        steps: How many steps; 0 leaves the generator as it is, -1 stops by itself.
        seed: Of what is drawn at random.
    """

    name: ClassVar[str] = "finetune"
    version: ClassVar[int] = 8
    generator: GeneratorName = "swift"
    steps: int = 0
    seed: int = 0

    def skip_reason(self) -> str | None:
        """Say why nothing is fine-tuned, if nothing is."""
        if self.generator == "warp":
            return f"the {self.generator} generator has no weights to fine-tune"
        return "--finetune-steps 0 takes the generator as it is" if self.steps == 0 else None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``personal.safetensors``."""
        import torch

        from thvideo.models.perceptual import perceptual_net
        from thvideo.synthesis.device import choose_device, cpu_threads
        from thvideo.synthesis.identity import load_identity
        from thvideo.training.few_shot import FineTuning
        from thvideo.training.few_shot_start import few_shot_options, meta_learned
        from thvideo.training.self_pairs import Shots
        from thvideo.weights.personal import PERSONAL, PersonalWeights, save_personal

        identity = load_identity(job.inputs["identity"].file("identity.npz"))
        device = choose_device(job.resources.device)
        networks, card = meta_learned(job.files["weights"], self.generator)
        perceptual = {
            name: perceptual_net(name, path).to(device)
            for name, path in looked_through(job.files).items()
        }
        options = few_shot_options(card, tuple(perceptual))
        options = replace(options, steps=None if self.steps < 0 else self.steps, seed=self.seed)
        with cpu_threads(job.resources.threads):
            tuning = FineTuning(
                networks,
                Shots(identity.crops, identity.landmarks, identity.valid),
                options,
                perceptual=perceptual,
                embedding=torch.from_numpy(identity.embedding),
                device=device,
            )
            for point in tuning.run():
                yield Progress(point.step, tuning.n_steps, "steps")
        personal = tuning.personal
        said = {name: card[name] for name in ("preset", "options", "draw_style")}
        with job.chunks.writing(PERSONAL) as temporary:
            card = said | {"steps": personal.step}
            save_personal(temporary, PersonalWeights(personal.generator, personal.adain, card))
        if personal.step == 0:
            yield Notice("fine-tuning brought the source no closer: the generator stays as it is")
        job.facts.update(
            steps=personal.step,
            curve=[
                {name: round(value, 5) for name, value in vars(point).items()}
                for point in tuning.curve
            ],
            device=str(device),
        )


def looked_through(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the perceptual networks among a job's files, in an order of their own.

    The first of them measures, and a key does not know in which order files were given.
    """
    return {name: files[name] for name in FEW_SHOT_CONTENT if name in files}
