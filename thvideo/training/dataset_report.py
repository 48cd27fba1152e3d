"""What a dataset looks like: a sheet of faces with their labels, and its numbers."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thvideo.errors import InputError
from thvideo.shapes import U8Array
from thvideo.training.dataset import ClipRow, ClipTable, read_frames, read_labels
from thvideo.training.dataset_write import writing
from thvideo.workspace.durable import write_whole_bytes

REPORT, SHEET = "report.json", "contact_sheet.jpg"
_CELL_PX, _TEXT_PX, _COLUMNS, _ROWS = 168, 18, 10, 6
_DOT, _EDGE, _BACKGROUND, _TEXT = (0, 255, 120), (255, 90, 60), 24, (220, 220, 220)


def write_report(path: Path, facts: dict[str, Any]) -> None:
    """Write the report; the same facts give the same bytes.

    Raises:
        OSError: the disk refuses.
    """
    with writing(path) as file:
        file.write(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def write_sheet(root: Path) -> None:
    """Draw a dataset's contact sheet: the middle frames of 60 clips spread over the table.

    Landmarks are dots, the border of the valid box is a line; below stand the person, the split
    and the crop's size in the video.

    Raises:
        InputError: there is no table.
        OSError: the disk refuses.
    """
    table = ClipTable(root)
    n_cells = min(len(table), _COLUMNS * _ROWS)
    chosen = np.unique(np.linspace(0, len(table) - 1, n_cells).round()).astype(int)
    cells = [_cell(root, table[int(index)]) for index in chosen]
    blank = np.full((_CELL_PX + _TEXT_PX, _CELL_PX, 3), _BACKGROUND, np.uint8)
    n_columns = max(1, min(_COLUMNS, len(cells)))
    cells += [blank] * (-len(cells) % n_columns or (n_columns if not cells else 0))
    rows = [np.hstack(cells[at : at + n_columns]) for at in range(0, len(cells), n_columns)]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_whole_bytes(root / SHEET, encoded.tobytes())


def _cell(root: Path, row: ClipRow) -> U8Array:
    cell = np.full((_CELL_PX + _TEXT_PX, _CELL_PX, 3), _BACKGROUND, np.uint8)
    middle = row.n_frames // 2
    try:
        picture = read_frames(root, row, [middle])[0]
        labels = read_labels(root, row)
    except InputError:
        _write(cell, f"damaged: {row.clip}")
        return cell
    scale = _CELL_PX / len(picture)
    shown = cv2.resize(picture, (_CELL_PX, _CELL_PX), interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = (round(float(edge) * scale) for edge in labels.valid)
    cv2.rectangle(shown, (x0, y0), (x1 - 1, y1 - 1), _EDGE, 1)
    for x, y in labels.points[middle] * scale:
        cv2.circle(
            shown, (round(float(x) * 16), round(float(y) * 16)), 16, _DOT, -1, cv2.LINE_AA, 4
        )
    cell[:_CELL_PX] = shown
    _write(cell, f"{row.identity[:14]} {row.split} {row.crop_px}px")
    return cell


def _write(cell: U8Array, text: str) -> None:
    plain = text.encode("ascii", "replace").decode()
    place = (3, _CELL_PX + _TEXT_PX - 5)
    cv2.putText(cell, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, _TEXT, 1, cv2.LINE_AA)
