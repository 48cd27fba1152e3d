"""The page in a real browser, and what it says."""

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from thvideo.evaluation.page import page
from thvideo.evaluation.plots import dots
from thvideo.evaluation.sheet import Case, _jpeg, _spread

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_LOOK = """<script>addEventListener('load', () => { document.title = JSON.stringify({
 pictures: [...document.images].filter(one => one.naturalWidth > 0).length,
 dots: document.querySelectorAll('svg circle').length,
 plot: document.querySelector('svg').getBoundingClientRect().height,
 cells: document.querySelectorAll('td').length,
 wide: document.documentElement.scrollWidth <= innerWidth }) })</script></body>"""


def _report() -> dict[str, Any]:
    def mean(value: float, change: float | None = None) -> dict[str, Any]:
        told = {"mean": value, "low": value - 0.1, "high": value + 0.1}
        sure = {"change": change, "low": change, "high": change} if change is not None else None
        worst = {"worst": value - 0.05, "worst_person": "b<e>rt"}
        return told | worst | {"n_people": 2, "n_clips": 2, "change": sure}

    figure = {"meaning": "how <alike> it is", "scale": 1.0, "decimals": 3}
    return {
        "protocol": {"split": "val", "n_frames": 32, "run_frames": 16},
        "baseline": "warp",
        "figures": [
            figure | {"name": "ssim", "title": "SSIM", "better": "more",
                      "change": "difference"},
            figure | {"name": "l1", "title": "L1", "better": "less", "change": "share"},
            figure | {"name": "gain", "title": "gain", "better": "one", "change": "difference"},
        ],
        "tables": {
            "self": [
                {"row": "warp", "figures": {"ssim": mean(0.6), "l1": mean(0.2), "gain": mean(0.8)}},
                {"row": "<swift>", "figures": {"ssim": mean(0.7, 0.1), "l1": mean(0.3, 0.5),
                                                    "gain": mean(1.3, 0.5)}},
            ]
        },
        "clips": [{"person": "anna"}, {"person": "bert"}],
        "left_out": [{"row": "warp", "take": "p<1>", "why": "damaged"}],
        "notes": ["CSIM is left out"],
    }  # fmt: skip


def _cases() -> list[Case]:
    import numpy as np

    uri = _jpeg(np.full((64, 64, 3), 120, np.uint8))
    pictures = (("source", uri), ("<swift>", uri), ("truth", uri))
    return [Case("worst", "self", "p<1>", 7, ("<swift>", "ssim", 0.5), pictures)]


def test_the_page_needs_nothing_else_and_escapes_names() -> None:
    text = page(_report(), _cases())
    assert "<swift>" not in text
    assert "p<1>" not in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "<script" not in text
    assert 'class="good">+0.100' in text
    assert 'class="bad">+50 %' in text
    # From 0.8 to 1.3 is farther from 1 than before.
    assert 'class="bad">+0.500' in text
    assert "worst 0.650 (b&lt;e&gt;rt)" in text
    assert "worst: p&lt;1&gt;, frame 7" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_it(tmp_path: Path) -> None:
    import json

    path = tmp_path / "report.html"
    path.write_text(page(_report(), _cases()).replace("</body>", _LOOK), encoding="utf-8")
    asked = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    shown = subprocess.run(
        [*asked, profile, path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    title = re.search(r"<title>(.*?)</title>", shown.stdout)
    assert title is not None
    seen = json.loads(html.unescape(title[1]))
    assert seen["plot"] > 40
    assert seen["wide"]
    assert (seen["pictures"], seen["dots"], seen["cells"]) == (3, 4, 6)


def test_dots_lie_where_their_means_do() -> None:
    drawn = dots([("a", 0.0, -1.0, 1.0), ("b", 1.0, 0.5, 1.0)], 1)
    x = [float(one) for one in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    ends = [
        tuple(map(float, one))
        for one in re.findall(
            r'<line x1="([\d.]+)" y1="\d+\.\d+" x2="([\d.]+)" y2="\d+\.\d+" stroke="#4', drawn
        )
    ]
    assert x[0] == pytest.approx(sum(ends[0]) / 2, abs=0.1)
    assert x[1] == pytest.approx(ends[1][1], abs=0.1)
    assert dots([("a", 1.0, 1.0, 1.0)], 2).count("<circle") == 1


@pytest.mark.parametrize(
    ("n_cases", "kinds"),
    [(0, ""), (1, "b"), (2, "bw"), (3, "bmw"), (5, "bmw"), (15, "bbmmww")],
)
def test_cases_are_the_best_the_median_and_the_worst(n_cases: int, kinds: str) -> None:
    chosen = _spread(n_cases)
    assert "".join(kind[0] for kind, _ in chosen) == kinds
    places = [place for _, place in chosen]
    assert places == sorted(set(places))
    if n_cases == 15:
        assert places == [0, 1, 6, 7, 13, 14]
