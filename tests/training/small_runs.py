"""Runs on drawn faces, and what happened in them."""

from pathlib import Path

import torch

from tests.training.drawn_faces import (
    ADVERSARIAL,
    SMALL_SWIFT,
    small_options,
)
from thvideo.models.presets import ModelOptions
from thvideo.training.meta import MetaRun
from thvideo.training.meta_events import MetaEvent
from thvideo.training.meta_options import Every, HowToRun

HERE = HowToRun(torch.device("cpu"), workers=0)
NEVER = Every()
QUIET = {"save": NEVER, "validate": NEVER}


def made(drawn: Path, folder: Path, models: ModelOptions = SMALL_SWIFT, **changes) -> MetaRun:
    options = small_options(drawn, models.preset, **(ADVERSARIAL | changes))
    return MetaRun(folder, options, HERE, models)


def begun(drawn: Path, folder: Path, models: ModelOptions = SMALL_SWIFT, **changes) -> MetaRun:
    run = made(drawn, folder, models, **changes)
    run.begin()
    return run


def of_kind(events: list[MetaEvent], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]
