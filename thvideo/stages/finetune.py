"""Fine-tune: adapt a learned generator to the source identity."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from thvideo.errors import StageError
from thvideo.stages.base import GeneratorName, Job, StageEvent


@dataclass(frozen=True)
class Finetune:
    """Fine-tune the generator on the source crops.

    Inputs: ``identity`` (embed). Files: ``weights``.

    Args:
        generator: Which generator is fine-tuned; ``warp`` has no weights, so nothing is done.
        steps: How many steps; None stops by itself, 0 leaves the generator as it is.
        seed: Of what is drawn at random.
    """

    name: ClassVar[str] = "finetune"
    version: ClassVar[int] = 1
    generator: GeneratorName = "warp"
    steps: int | None = 0
    seed: int = 0

    def skip_reason(self) -> str | None:
        """Say why nothing is fine-tuned, if nothing is."""
        if self.generator == "warp":
            return f"the {self.generator} generator has no weights to fine-tune"
        return "--finetune-steps 0 takes the generator as it is" if self.steps == 0 else None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Refuse: the plan skips this stage for every generator that has no weights."""
        raise StageError(
            f"the {self.generator} generator has no weights to fine-tune",
            hint="leave the finetune stage out",
        )
