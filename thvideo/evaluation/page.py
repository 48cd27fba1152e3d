"""The report as one HTML page that needs nothing else: no script, no network, no other file."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from thvideo.evaluation.plots import dots
from thvideo.evaluation.report import SELF
from thvideo.evaluation.sheet import Case
from thvideo.evaluation.shown import ARROWS, change_text, is_improved, value_text, worst_text

_STYLE = """
:root { color-scheme: light dark; --faint: #8887; --good: #2a9d5c; --bad: #c8553d; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
h1, h2 { font-weight: 600 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--faint) }
th:first-child, td:first-child { text-align: left }
td small { opacity: .65; white-space: nowrap }
.good { color: var(--good) } .bad { color: var(--bad) }
.wide { overflow-x: auto } .plots { display: grid; gap: 1.2rem;
grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)) }
figure { margin: 0 } figcaption { font-size: .85rem; opacity: .8 }
.strip { display: flex; gap: .4rem; margin: .3rem 0 1.2rem; overflow-x: auto }
.strip figure { text-align: center } .strip img { width: 160px; height: 160px; display: block }
svg { width: 100%; height: auto } svg text { fill: currentColor; font-size: 12px }
"""
_TITLES = {
    SELF: "Self-reenactment: held-out frames of the same clip",
    "cross": "Cross-reenactment: another person's motion",
}

_BETTER = {"more": "more is better", "less": "less is better", "one": "1 is best"}


def page(report: Mapping[str, Any], cases: Sequence[Case]) -> str:
    """Return the page.

    Args:
        report: What ``report`` of this room returns.
        cases: Strips of pictures.
    """
    parts = [_head(report)]
    for mode, rows in report["tables"].items():
        parts.append(f"<h2>{escape(_TITLES[mode])}</h2>")
        parts += [_table(report["figures"], rows), _plots(report["figures"], rows)]
        own = [case for case in cases if case.mode == mode]
        if own:
            parts.append(_sheet(own))
    parts += [_meanings(report["figures"]), _left_out(report["left_out"], report["notes"])]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>thvideo evaluate</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    protocol, people = report["protocol"], {clip["person"] for clip in report["clips"]}
    compared = f" Changes are against {report['baseline']}." if report["baseline"] else ""
    return (
        "<h1>thvideo evaluate</h1>\n<p>"
        f"{len(people)} people of the split {escape(protocol['split'])}, "
        f"{protocol['n_frames']} held-out frames a clip in runs of {protocol['run_frames']}. "
        f"Means over people with 95 % bootstrap intervals.{escape(compared)}</p>"
    )


def _table(figures: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(row['row'])}</th>" for row in rows)
    lines = []
    for figure in figures:
        found = [row["figures"].get(figure["name"]) for row in rows]
        cells = [_cell(figure, one) for one in found]
        if any(cells):
            arrow = ARROWS[figure["better"]]
            n_clips = max((one.get("n_clips", 0) for one in found if one), default=0)
            told = f" <small>{n_clips} clips</small>" if n_clips else ""
            name = f"<td>{escape(figure['title'])} {arrow}{told}</td>"
            lines.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return (
        f'<div class="wide"><table><tr><th></th>{head}</tr>\n' + "\n".join(lines) + "</table></div>"
    )


def _cell(figure: Mapping[str, Any], found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    text = value_text(figure, found["mean"])
    if "low" in found:
        low, high = (value_text(figure, found[edge]) for edge in ("low", "high"))
        text += f"<br><small>{low} to {high}</small>"
    if worst := worst_text(figure, found):
        text += f"<br><small>{worst} ({escape(found['worst_person'])})</small>"
    change = found.get("change")
    if change is not None:
        is_sure = change["low"] > 0 or change["high"] < 0
        is_good = is_improved(figure, found["mean"], change["change"])
        mark = ("good" if is_good else "bad") if is_sure else ""
        text += f'<br><small class="{mark}">{change_text(figure, change["change"])}</small>'
    return text


def _plots(figures: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    drawn = []
    for figure in figures:
        known = [row for row in rows if "low" in row["figures"].get(figure["name"], {})]
        if len(known) < 2:
            continue
        values = [row["figures"][figure["name"]] for row in known]
        scale = figure["scale"]
        points = [
            (row["row"], *(scale * value[edge] for edge in ("mean", "low", "high")))
            for row, value in zip(known, values, strict=True)
        ]
        caption = f"{escape(figure['title'])} ({_BETTER[figure['better']]})"
        plot = dots(points, figure["decimals"])
        drawn.append(f"<figure><figcaption>{caption}</figcaption>{plot}</figure>")
    return f'<div class="plots">{"".join(drawn)}</div>'


def _sheet(cases: Sequence[Case]) -> str:
    row, figure, _ = cases[0].ranked_by
    parts = [f"<h3>Best, median and worst of {escape(row)} by {escape(figure)}</h3>"]
    for case in cases:
        told = f"{case.kind}: {case.take}, frame {case.frame} ({figure} {case.ranked_by[2]:.3f})"
        strip = "".join(
            f'<figure><img src="{picture}" alt="{escape(name)}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
            for name, picture in case.pictures
        )
        parts.append(f'<p>{escape(told)}</p><div class="strip">{strip}</div>')
    return "\n".join(parts)


def _meanings(figures: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f"<li><b>{escape(figure['title'])}</b>: {escape(figure['meaning'])}</li>"
        for figure in figures
    )
    return f"<h2>What the figures mean</h2><ul>{items}</ul>"


def _left_out(left_out: Sequence[Mapping[str, str]], notes: Sequence[str]) -> str:
    told = [f"{one['take']} by {one['row']}: {one['why']}" for one in left_out]
    items = "".join(f"<li>{escape(text)}</li>" for text in (*notes, *told))
    return f"<h2>Left out</h2><ul>{items}</ul>" if items else ""
