"""Fine-tune: adapt a learned generator to the source identity."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from thvideo.errors import StageError
from thvideo.stages.base import GeneratorName, Job, StageEvent


@dataclass(frozen=True)
class Finetune:
    """Fine-tune the generator on the source crops.

    Inputs: ``identity`` (embed).

    Args:
        generator: Which generator is fine-tuned; ``warp`` has no weights, so nothing is done.
    """

    name: ClassVar[str] = "finetune"
    version: ClassVar[int] = 1
    generator: GeneratorName = "warp"

    def skip_reason(self) -> str | None:
        """Say that a generator without weights needs no fine-tuning."""
        return f"the {self.generator} generator has no weights to fine-tune"

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Refuse: the plan skips this stage for every generator that has no weights."""
        raise StageError(
            f"the {self.generator} generator has no weights to fine-tune",
            hint="leave the finetune stage out",
        )
