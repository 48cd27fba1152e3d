"""The weights that are judged: shipped, in a file, or in the folder of a run of meta-training."""

from pathlib import Path

from thvideo.errors import InputError
from thvideo.reading import expanded
from thvideo.training.meta_export import export_run
from thvideo.training.run_folder import BEST, LAST, OPTIONS, RunFolder
from thvideo.weights.cards import Card, shipped_names, shipped_weight, verify_file
from thvideo.weights.load import check_generator


def weights_file(name_or_path: str, exported: Path) -> tuple[Path, Card]:
    """Find the weights that a person names.

    Args:
        name_or_path: A shipped name, a file, the folder of a run (its best checkpoint, else its
            last), or one of its checkpoints.
        exported: The file that a run's weights are exported to, halved as those that ship are.

    Returns:
        The file and its card.

    Raises:
        InputError: There are none, or they are damaged or hold no generator.
    """
    path = expanded(name_or_path)
    if name_or_path in shipped_names() and not path.exists():
        file = shipped_weight(name_or_path)
    elif path.is_dir():
        file = exported
        run, checkpoint = _checkpoint(path)
        export_run(run, file, checkpoint, said={})
    elif path.is_file():
        file = path
    else:
        known = ", ".join(shipped_names())
        raise InputError(
            f"there are no weights at {path}", hint=f"a file, a run's folder, or one of {known}"
        )
    verify_file(file)
    return file, check_generator(file)


def _checkpoint(path: Path) -> tuple[Path, str]:
    if (path / OPTIONS).is_file():
        is_best_there = RunFolder(path).has_checkpoint(BEST)
        return path, BEST if is_best_there else LAST
    run, name = path.parent, path.name
    if (run / OPTIONS).is_file() and RunFolder(run).has_checkpoint(name):
        return run, name
    raise InputError(
        f"{path} is neither the folder of a run nor a checkpoint in one",
        hint="give the folder that thvideo metatrain -o RUN wrote, RUN/last, or a file of weights",
    )
