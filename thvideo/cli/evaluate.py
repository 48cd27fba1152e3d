"""``evaluate``: methods side by side on people that nobody trained on."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thvideo.cli import options
from thvideo.cli.console import one_line, say
from thvideo.cli.options import FILES, Given, Opt, takes
from thvideo.cli.render import as_json, show_work, view_of
from thvideo.errors import UsageError
from thvideo.pipeline.recipe import named_path
from thvideo.reading import expanded, json_of

if TYPE_CHECKING:
    from thvideo.evaluation.methods import Drawing, Method
    from thvideo.evaluation.protocol import ProtocolOptions
    from thvideo.evaluation.run import Evaluation
    from thvideo.workspace.keys import DigestMemo

_PROTOCOL, _RULER = "Protocol", "Ruler"
_METHODS = "truth,source,warp,swift"
_CALL = "thvideo evaluate --data DATASET -o FOLDER"
_OPTIONS = (
    Opt("data", FILES, "Dataset of thvideo prepare.", kind=Path),
    Opt("folder", FILES, "Folder of the report; what is drawn and measured in it is kept.",
        ("--output", "-o"), Path),
    Opt("methods", _PROTOCOL, "What is judged, separated by commas: truth, source (copied), warp, "
        "swift, paper or a NAME of --weights, and NAME-finetuned.", kind=str, default=_METHODS),
    Opt("weights", _PROTOCOL, "Weights of swift or paper: a shipped name, a file or the folder of "
        "a run. NAME=PATH judges them as another method; repeat for more.", kind=list[str]),
    Opt("finetune_perceptual", _PROTOCOL, "NAME=PATH of a perceptual network that NAME-finetuned "
        "methods are fine-tuned with; repeat for more.", kind=list[str]),
    Opt("results", _PROTOCOL, "Folder of another tool's videos, NAME.mp4 a clip: NAME=DIR or DIR; "
        "repeat for more.", kind=list[str]),
    Opt("split", _PROTOCOL, "Whose clips: val or train.", kind=str, default="val"),
    Opt("shots", _PROTOCOL, "Numbers of source frames, a row each.", kind=str, default="1,8,32"),
    Opt("frames", _PROTOCOL, "Held-out frames of a clip.", kind=int, default=32),
    Opt("run", _PROTOCOL, "Consecutive frames in a run of these.", kind=int, default=16),
    Opt("clips", _PROTOCOL, "Clips of each person at most.", kind=int, default=1),
    Opt("limit", _PROTOCOL, "People at most, for a quick look; 0 takes all.", kind=int, default=0),
    Opt("pairs", _PROTOCOL, "Table (source, driver) of clips for cross-reenactment.", kind=Path),
    Opt("landmarks", _PROTOCOL, "What is drawn from: tracked by the bundled tracker, as reenact "
        "does, or the dataset's labels.", kind=str, default="tracked"),
    Opt("seed", _PROTOCOL, "Of the choice of source frames.", kind=int, default=0),
    Opt("perceptual", _RULER, "NAME=PATH of a perceptual network; repeat for more.",
        kind=list[str]),
    Opt("inception", _RULER, "TorchScript Inception network for FID.", kind=Path),
    Opt("baseline", _RULER, "Method that the others are compared with; none compares with none.",
        kind=str, default="warp"),
    *options.RESOURCES,
    *options.LOOKS,
)  # fmt: skip


@takes(*_OPTIONS)
def evaluate(given: Given) -> None:
    """Judge methods side by side: held-out frames of people, drawn from a few others of theirs.

    The extra "evaluate" of the package adds the likeness of faces, CSIM.
    """
    from thvideo.evaluation.methods import Drawing
    from thvideo.evaluation.run import PAGE, REPORT
    from thvideo.evaluation.run import evaluate as evaluated
    from thvideo.synthesis.device import choose_device, cpu_threads

    resources = given.resources()
    with view_of(given) as view, cpu_threads(resources.threads):
        device = choose_device(resources.device)
        work = _work(given, Drawing(device, given.precision(), resources.batch_size))
        show_work(view, "evaluate", f"{work.data} to {work.output}", evaluated(work))
    report = json_of((work.output / REPORT).read_text(encoding="utf-8"))
    if given.flag("json"):
        say(as_json({"event": "evaluated", "folder": work.output} | report))
    elif not given.flag("quiet"):
        from thvideo.cli.evaluate_table import show_report

        show_report(report)
        say(one_line(f"{work.output / PAGE}"))


def _work(given: Given, drawing: "Drawing") -> "Evaluation":
    """Return what was asked for.

    Raises:
        UsageError: An option is wrong or missing.
        InputError: A file cannot be used.
    """
    from thvideo.evaluation.measure import Ruler
    from thvideo.evaluation.run import Evaluation
    from thvideo.workspace.keys import DigestMemo

    typed = {name: value for name, value in given.values.items() if value not in (None, [])}
    for name, option in (("data", "--data"), ("folder", "-o")):
        if name not in typed:
            raise UsageError(f"{option} is missing", hint=_CALL)
    output = expanded(typed["folder"])
    digests = DigestMemo(output)
    methods = _methods(typed, drawing, digests)
    perceptual = _networks(typed.get("perceptual", ()), "--perceptual")
    names = [method.name for method in methods]
    baseline = typed.get("baseline", "warp" if "warp" in names else "none")
    return Evaluation(
        data=expanded(typed["data"]),
        output=output,
        protocol=_protocol(typed),
        methods=methods,
        ruler=Ruler(perceptual, typed.get("inception"), drawing.device, digests),
        digests=digests,
        pairs=typed.get("pairs"),
        baseline=None if baseline == "none" else baseline,
    )


def _protocol(typed: dict[str, Any]) -> "ProtocolOptions":
    from thvideo.evaluation.protocol import ProtocolOptions, check_protocol

    names = {"split": "split", "frames": "n_frames", "run": "run_frames", "clips": "n_clips",
             "limit": "limit", "seed": "seed", "landmarks": "landmarks"}  # fmt: skip
    chosen = {field: typed[name] for name, field in names.items() if name in typed}
    if "shots" in typed:
        if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", typed["shots"]):
            raise UsageError(f"--shots {typed['shots']} is not understood", hint="such as 1,8,32")
        chosen["shots"] = tuple(dict.fromkeys(map(int, typed["shots"].split(","))))
    if chosen.get("split", "val") not in ("train", "val"):
        raise UsageError(f"there is no split {chosen['split']!r}", hint="--split val or train")
    protocol = ProtocolOptions(**chosen)
    check_protocol(protocol)
    return protocol


def _methods(typed: dict[str, Any], drawing: "Drawing", digests: "DigestMemo") -> list["Method"]:
    from thvideo.evaluation.catalogue import Catalogue
    from thvideo.evaluation.methods import FINETUNED
    from thvideo.models.content_weights import FEW_SHOT_CONTENT

    option = "--finetune-perceptual"
    looks_through = _networks(typed.get("finetune_perceptual", ()), option)
    for name in looks_through:
        if name not in FEW_SHOT_CONTENT:
            raise UsageError(
                f"fine-tuning cannot look through {name!r}",
                hint=f"one of {', '.join(FEW_SHOT_CONTENT)}",
            )
    catalogue = Catalogue(drawing, expanded(typed["folder"]), looks_through)
    wanted = [name for name in typed.get("methods", _METHODS).split(",") if name]
    for text in typed.get("weights", ()):
        name = catalogue.add_weights(*_maybe_named(text, "--weights"))
        if not {name, name + FINETUNED} & set(wanted):
            wanted.append(name)
    finished = [
        catalogue.finished(name or path.name, path, digests)
        for name, path in (_maybe_named(text, "--results") for text in typed.get("results", ()))
    ]
    if looks_through and not any(name.endswith(FINETUNED) for name in wanted):
        raise UsageError(
            f"{option} is for fine-tuned methods, and none is named",
            hint=f"such as --methods warp,swift,swift{FINETUNED}",
        )
    methods = [*(catalogue.method(name) for name in dict.fromkeys(wanted)), *finished]
    if not methods:
        raise UsageError("no method is named", hint=f"--methods {_METHODS}")
    names = [method.name for method in methods]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two methods are called {twice[0]!r}", hint="NAME=PATH gives a name")
    return methods


def _networks(texts: Sequence[str], option: str) -> dict[str, Path]:
    pairs = [named_path(text, option) for text in texts]
    networks = dict(pairs)
    if len(networks) < len(pairs):
        raise UsageError("a perceptual network is given twice", hint=f"one {option} a NAME")
    return networks


def _maybe_named(text: str, option: str) -> tuple[str, Path]:
    is_path = text and "=" not in text
    return ("", expanded(text)) if is_path else named_path(text, option)
