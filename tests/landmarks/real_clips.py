"""The clips of real people in the shared data, as their table names them."""

from pathlib import Path

from thvideo.training.tracker_data import read_table


def real_clips(data: Path) -> list[dict[str, str]]:
    """The table's rows of real clips, in its order; synthetic ones are left out."""
    return [row for row in read_table(data / "clips.tsv") if row["kind"] == "real"]
