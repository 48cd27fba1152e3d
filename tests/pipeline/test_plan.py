"""A plan gives reasons in plain words, and a run follows it."""

from pathlib import Path

import pytest
import toys

from thvideo.pipeline.graph import Graph, Node
from thvideo.pipeline.plan import plan
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace.store import Workspace


@pytest.fixture
def words(tmp_path) -> Path:
    return toys.write_words(tmp_path / "words")


@pytest.fixture
def made(tmp_path, words, log) -> Workspace:
    """A workspace in which the speech of the words is made."""
    workspace = Workspace(tmp_path / "w")
    list(run(toys.speech(words), workspace, Resources()))
    return workspace


def reasons(graph: Graph, workspace: Workspace, force: tuple[str, ...] = ()) -> dict[str, str]:
    """Return why nodes run, by id."""
    steps = plan(graph, workspace, force)
    return {step.node.id: step.reason for step in steps if step.action == "run"}


def test_at_first_nothing_is_made_yet(tmp_path, words):
    assert reasons(toys.speech(words), Workspace(tmp_path / "w")) == {
        "read a": "not made yet",
        "read b": "not made yet",
        "shout": "because read b runs",
        "join": "because read a and shout run",
    }


def test_then_all_is_reused_and_what_is_idle_skipped(made, words):
    actions = {step.node.id: step.action for step in plan(toys.speech(words), made)}
    assert actions == {
        "read a": "reuse",
        "read b": "reuse",
        "shout": "reuse",
        "idle": "skip",
        "join": "reuse",
    }


def test_a_changed_field_is_named_with_its_values(made, words):
    assert reasons(toys.speech(words, strength=0.5), made) == {
        "shout": "strength: 1 -> 0.5",
        "join": "because shout runs",
    }
    assert reasons(toys.speech(words, strength=0.5, between="-"), made)["join"] == (
        "between:   -> -; because shout runs"
    )


def test_a_changed_and_a_new_file_are_named(made, words):
    (words / "a.txt").write_text("howdy")
    assert reasons(toys.speech(words), made)["read a"] == "a.txt changed"
    renamed = (words / "a.txt").rename(words / "c.txt")
    graph = Graph((Node("read c", toys.Read(), files={"file": renamed}),), "read c")
    assert reasons(graph, made) == {"read c": "c.txt is new"}


def test_a_new_combination_of_old_inputs_is_said_to_be_one(made, words):
    nodes = toys.speech(words).nodes
    swapped = Node("join", toys.Join(), {"a": "shout", "b": "read a"})
    assert reasons(Graph((*nodes[:3], swapped), "join"), made) == {
        "join": "not made yet from these inputs"
    }


def test_a_new_version_of_a_stage_is_said_to_be_one(made, words, monkeypatch):
    monkeypatch.setattr(toys.Join, "version", 2)
    assert reasons(toys.speech(words), made) == {"join": "the stage is version 2, was 1"}


def test_force_names_the_stage_and_what_follows(made, words):
    assert reasons(toys.speech(words), made, ("shout",)) == {
        "shout": "forced",
        "join": "because shout runs",
    }
    assert reasons(toys.speech(words), made, ("idle",)) == {}


def test_damage_is_a_reason_and_planning_leaves_it_where_it_is(made, words):
    join = plan(toys.speech(words), made)[-1]
    (join.artifact.path / toys.TEXT).unlink()
    for _ in range(2):
        assert reasons(toys.speech(words), made) == {"join": "damaged: text.txt is missing"}


def test_a_run_does_what_the_plan_said(made, words, log):
    (words / "b.txt").write_text("moon")
    planned = tuple(reasons(toys.speech(words), made))
    first, *_ = run(toys.speech(words), made, Resources())
    assert first.to_run == planned == ("read b", "shout", "join")
