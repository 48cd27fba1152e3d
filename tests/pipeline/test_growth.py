"""What N sources and M drivers in one workspace cost, as the lines of ``--json`` tell it.

The stages' work is stood in for; files, keys, graph, runner and command are the real ones.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import toys

from thvideo.cli.boundary import main
from thvideo.stages.base import Job, Progress, Stage, StageEvent
from thvideo.stages.composite import Composite
from thvideo.stages.embed import Embed
from thvideo.stages.extract import Extract
from thvideo.stages.finetune import Finetune
from thvideo.stages.reenact import Reenact
from thvideo.stages.track import Track

SOURCES = ("ann.jpg", "bob.jpg", "eve.jpg")
DRIVERS = ("talk.mp4", "song.mp4")
PAIRS = tuple(itertools.product(SOURCES, DRIVERS))
ONCE_A_SOURCE = {"extract": 1, "track": 1, "embed": 1}
ONCE_A_DRIVER = {"extract": 1, "track": 1}
ONCE_A_PAIR = {"reenact": 1, "composite": 1}


def stand_in(self: Stage, job: Job) -> Iterator[StageEvent]:
    """Do what a stage does, beside its work."""
    facts = toys.FACTS.get(self.name, {})
    with job.chunks.writing(str(facts.get("file", "data.bin"))) as temporary:
        temporary.write_text(self.name)
    job.facts.update(facts)
    yield Progress(1, 1)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for stage in (Extract, Track, Embed, Finetune, Reenact, Composite):
        monkeypatch.setattr(stage, "run", stand_in)
    for name in (*SOURCES, *DRIVERS, "new.jpg", "new.mp4"):
        (tmp_path / name).write_text(f"stand-in for {name}")
    monkeypatch.chdir(tmp_path)


def work(
    pairs: Iterable[tuple[str, str]], capsys: pytest.CaptureFixture[str], *options: str
) -> Counter[str]:
    """Reenact every pair with a command of its own; count what was made, by stage."""
    made: Counter[str] = Counter()
    for source, driver in pairs:
        output = f"{Path(source).stem}--{Path(driver).stem}.mp4"
        files = ("--source", source, "--driver", driver, "--output", output)
        assert main(["reenact", "--json", *files, *options]) == 0
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        stage_of = {event["id"]: event["stage"] for event in told if "stage" in event}
        made.update(stage_of[event["id"]] for event in told if event["event"] == "node_finished")
    return made


def times(n_times: int, cost: dict[str, int]) -> Counter[str]:
    return Counter({stage: n_times * count for stage, count in cost.items()})


def test_every_source_and_driver_is_worked_on_once_and_every_pair(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = times(3, ONCE_A_SOURCE) + times(2, ONCE_A_DRIVER)
    assert work(PAIRS, capsys) == alone + times(6, ONCE_A_PAIR)
    assert work(PAIRS, capsys) == Counter()


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1, 0), (0, 2, 4, 1, 3, 5), (3, 0, 5, 1, 2, 4)])
def test_the_order_of_the_pairs_does_not_matter(
    order: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    alone = times(3, ONCE_A_SOURCE) + times(2, ONCE_A_DRIVER)
    assert work([PAIRS[i] for i in order], capsys) == alone + times(6, ONCE_A_PAIR)


def test_each_source_is_learned_once_for_all_drivers(capsys: pytest.CaptureFixture[str]) -> None:
    alone = times(3, ONCE_A_SOURCE | {"finetune": 1}) + times(2, ONCE_A_DRIVER)
    assert work(PAIRS, capsys, "--finetune-steps", "9") == alone + times(6, ONCE_A_PAIR)


def test_one_more_driver_costs_its_tracking_and_a_synthesis_a_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work(PAIRS, capsys)
    more = work([(source, "new.mp4") for source in SOURCES], capsys)
    assert more == times(1, ONCE_A_DRIVER) + times(3, ONCE_A_PAIR)


def test_one_more_source_costs_its_own_work_and_a_synthesis_a_driver(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work(PAIRS, capsys)
    more = work([("new.jpg", driver) for driver in DRIVERS], capsys)
    assert more == times(1, ONCE_A_SOURCE) + times(2, ONCE_A_PAIR)


def test_several_pictures_of_one_person_add_their_own_work_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work(PAIRS, capsys)
    # Both pictures are tracked already: only the identity of the two together is new.
    more = work([("ann.jpg", "talk.mp4")], capsys, "--source", "bob.jpg")
    assert more == times(1, {"embed": 1} | ONCE_A_PAIR)


def test_other_output_options_cost_a_composite_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    work(PAIRS, capsys)
    assert work(PAIRS, capsys, "--crf", "30") == times(6, {"composite": 1})
