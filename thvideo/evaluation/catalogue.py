"""Methods by the names that a person types."""

import re
from collections.abc import Mapping
from pathlib import Path

from thvideo.errors import UsageError
from thvideo.evaluation.finished import Finished
from thvideo.evaluation.given_weights import weights_file
from thvideo.evaluation.methods import (
    FINETUNED,
    Copied,
    Drawing,
    FineTuned,
    Learned,
    Looks,
    Method,
    Truth,
    Warped,
)
from thvideo.stages.finetune import looked_through
from thvideo.weights.cards import Card, shipped_names
from thvideo.workspace.keys import DigestMemo

_FIXED = ("truth", "source", "warp")
_PRESETS = ("swift", "paper")


class Catalogue:
    """Makes methods of names.

    Args:
        drawing: Where and how learned methods and the warp draw.
        output: Folder of the evaluation: a run's weights are exported into it.
        looks_through: Files of the perceptual networks that fine-tuning looks through.
    """

    def __init__(
        self, drawing: Drawing, output: Path, looks_through: Mapping[str, Path] | None = None
    ) -> None:
        self._drawing, self._output = drawing, output
        self._looks = Looks(looked_through(looks_through or {}), DigestMemo(output))
        self._weights: dict[str, tuple[Path, Card]] = {}

    def add_weights(self, name: str, path: Path) -> str:
        """Take weights in.

        Args:
            name: Of the method they are; empty for their preset's.
            path: A shipped name, a file, or a run's folder.

        Returns:
            The method's name.

        Raises:
            InputError: There are no such weights.
            UsageError: The name is taken, or no name.
        """
        if name:
            _check_name(name)
        exported = self._output / "weights" / f"{name or path.name}.safetensors"
        file, card = weights_file(str(path), exported)
        name = name or str(card["preset"])
        if name in self._weights:
            raise UsageError(
                f"weights for {name} were given twice", hint="--weights NAME=PATH for the others"
            )
        self._weights[name] = file, card
        return name

    def method(self, name: str) -> Method:
        """Return the method of a name.

        Raises:
            UsageError: There is none.
        """
        fixed: tuple[Method, ...] = (Truth(), Copied(), Warped(self._drawing))
        for method in fixed:
            if method.name == name:
                return method
        base = name.removesuffix(FINETUNED)
        shipped = [preset for preset in _PRESETS if preset in shipped_names()]
        if base not in self._weights and base in shipped:
            self._weights[base] = weights_file(base, self._output)
        if base not in self._weights:
            known = ", ".join(dict.fromkeys((*_FIXED, *shipped, *self._weights)))
            hint = f"--weights FILE gives {base}" if base in _PRESETS else f"one of {known}"
            raise UsageError(f"there are no weights for the method {name!r}", hint=hint)
        if name == base:
            return Learned(name, *self._weights[base], self._drawing)
        return FineTuned(name, *self._weights[base], self._drawing, self._looks)

    def finished(self, name: str, folder: Path, digests: DigestMemo) -> Method:
        """Return another tool's videos as a method.

        Raises:
            UsageError: The name is none, or there is no such folder.
        """
        _check_name(name)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", hint="--results NAME=DIR")
        return Finished(name, folder, digests)


def _check_name(name: str) -> None:
    is_ours = name in (*_FIXED, *_PRESETS)
    if is_ours or name.endswith(FINETUNED) or not re.fullmatch(r"\w[\w.+-]*", name):
        raise UsageError(
            f"a method cannot be called {name!r}",
            hint="letters, digits, then points and dashes too; none of our own methods' names",
        )
