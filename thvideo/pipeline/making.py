"""One node being made: its stage's events, and its artifact when they are over."""

import time
from collections.abc import Generator
from pathlib import Path

from thvideo.errors import InputError
from thvideo.pipeline import events
from thvideo.pipeline.memory import MemoryMeter
from thvideo.pipeline.plan import Step
from thvideo.pipeline.versions import versions
from thvideo.stages.base import Job, Notice, parameters
from thvideo.workspace.keys import DigestMemo, stage_key
from thvideo.workspace.manifest import InputFile, Manifest
from thvideo.workspace.store import Artifact, Build, utc_now


class Making:
    """A step whose stage runs under its lock.

    Args:
        step: What is made.
        job: What the stage is given.
        build: The artifact in the making.
        digests: Of the person's files.
    """

    def __init__(
        self,
        step: Step,
        job: Job,
        build: Build,
        digests: DigestMemo,
    ) -> None:
        self.step = step
        self._job, self._build, self._digests = job, build, digests
        self._meter, self._started_s, self._seconds = MemoryMeter(), time.monotonic(), 0.0

    def run(self) -> Generator[events.Event, None, None]:
        """Run the stage to its end and yield what happens."""
        node_id = self.step.node.id
        happenings = self.step.node.stage.run(self._job)
        try:
            for event in happenings:
                self._meter.sample()
                if isinstance(event, Notice):
                    yield events.NodeNotice(node_id, event.text)
                else:
                    yield events.NodeProgress(node_id, event.done, event.total, event.unit)
        finally:
            # Stops the stage's child processes at once, not when it is collected as garbage.
            if isinstance(happenings, Generator):
                happenings.close()
            self._seconds = time.monotonic() - self._started_s

    def publish(self) -> Artifact:
        """Publish what the stage has made.

        Raises:
            InputError: A file of the person changed meanwhile.
        """
        node, stage = self.step.node, self.step.node.stage
        inputs = {role: artifact.key for role, artifact in self._job.inputs.items()}
        inputs |= {role: handover.key for role, handover in self._job.arriving.items()}
        manifest = Manifest(
            key=self.step.key,
            stage=stage.name,
            version=stage.version,
            parameters=parameters(stage),
            inputs=inputs,
            files={role: self._input_file(path) for role, path in node.files.items()},
            facts=self._job.facts,
            seconds=round(self._seconds, 3),
            peak_bytes=self._meter.peak_bytes(),
            versions=versions(),
            made_at=utc_now(),
        )
        self._check_unchanged(manifest)
        return self._build.publish(manifest)

    def _input_file(self, path: Path) -> InputFile:
        return InputFile(self._digests.digest(path), path.stat().st_size, path.name)

    def _check_unchanged(self, manifest: Manifest) -> None:
        """Refuse to publish under a key what was made of other bytes than the key says."""
        digests = {role: file.digest for role, file in manifest.files.items()}
        wanted = stage_key(
            manifest.stage, manifest.version, manifest.parameters, manifest.inputs, digests
        )
        if wanted != self.step.key:
            names = ", ".join(str(path) for path in self.step.node.files.values())
            raise InputError(
                f"{names} changed during the run", hint="run again when the file is complete"
            )
