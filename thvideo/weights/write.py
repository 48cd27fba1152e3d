"""Writes weights as one file that travels: described, and with its digests."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from thvideo.errors import WorkspaceError, reason_of
from thvideo.weights.cards import Card, sha256_of, sha256_of_tensors


def write_weights(target: Path, tensors: dict[str, Tensor], card: Card) -> Card:
    """Write weights with their card in them and beside them, whole or not at all.

    Args:
        target: the `.safetensors` file.
        tensors: by name; for a generator, names begin with their part.
        card: what the card says, without digests and date.

    Returns:
        The card as it lies beside the file, with its digest.

    Raises:
        WorkspaceError: the disk refuses; a file that was there before is untouched.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own: nobody can lay a link where it is written, or read a half.
        with tempfile.TemporaryDirectory(prefix=".thvideo-", dir=target.parent) as folder:
            partial, description = Path(folder) / "weights", Path(folder) / "card"
            save_file(tensors, partial)
            inside = card | {
                "made": datetime.now(UTC).strftime("%Y-%m-%d"),
                "sha256_tensors": sha256_of_tensors(partial),
            }
            save_file(tensors, partial, {"thvideo": json.dumps(inside, ensure_ascii=False)})
            partial.chmod(0o644)
            beside = inside | {"sha256": sha256_of(partial)}
            text = json.dumps(beside, indent=2, ensure_ascii=False) + "\n"
            description.write_text(text, encoding="utf-8")
            # An old card must not be found beside the new file, nor the other way round.
            target.with_suffix(".json").unlink(missing_ok=True)
            partial.replace(target)
            description.replace(target.with_suffix(".json"))
    except (OSError, SafetensorError) as error:
        hint = "pass -o FILE on a disk with room that you may write to"
        raise WorkspaceError(
            f"{target} cannot be written ({reason_of(error)})", hint=hint
        ) from error
    return beside
