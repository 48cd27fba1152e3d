"""The graph of a reenactment: what is shared between recipes, and what a change touches."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from safetensors.numpy import save_file

from thvideo.errors import UsageError
from thvideo.pipeline import graph as graphs
from thvideo.pipeline.graph import Graph, graph_keys, reenact_graph, stage_graph
from thvideo.pipeline.plan import plan
from thvideo.pipeline.recipe import Recipe
from thvideo.workspace.store import Workspace


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    for name in ("ann.jpg", "bob.jpg", "driver.mp4", "sound.wav", "face.png"):
        (tmp_path / name).write_text(f"stand-in for {name}")
    return Recipe(
        sources=(tmp_path / "ann.jpg",), driver=tmp_path / "driver.mp4", output=tmp_path / "o.mp4"
    )


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "w")


def keys(recipe: Recipe, workspace: Workspace) -> dict[str, str]:
    return graph_keys(reenact_graph(recipe), workspace.digests)


def running(graph: Graph, workspace: Workspace) -> list[str]:
    return [step.node.id for step in plan(graph, workspace) if step.action == "run"]


def test_the_nodes_come_in_the_order_of_the_work(recipe, tmp_path):
    two = replace(recipe, sources=(*recipe.sources, tmp_path / "bob.jpg"), compare=True)
    graph = reenact_graph(two)
    assert [node.id for node in graph.nodes] == [
        "extract source 1",
        "track source 1",
        "extract source 2",
        "track source 2",
        "extract driver",
        "track driver",
        "embed",
        "finetune",
        "reenact",
        "composite",
        "compare",
    ]
    assert graph.target == "composite"
    assert graph.node("embed").inputs == {
        "frames_0": "extract source 1",
        "frames_1": "extract source 2",
        "landmarks_0": "track source 1",
        "landmarks_1": "track source 2",
    }
    assert graph.node("composite").inputs["driver"] == "extract driver"
    assert graph.node("reenact").inputs["driver"] == "track driver"


def test_every_node_comes_after_those_it_needs(recipe):
    seen: set[str] = set()
    for node in reenact_graph(replace(recipe, compare=True)).nodes:
        assert set(node.inputs.values()) <= seen
        seen.add(node.id)


def test_a_driver_tracked_for_one_source_serves_all(recipe, workspace, tmp_path):
    other = replace(recipe, sources=(tmp_path / "bob.jpg",), output=tmp_path / "p.mp4")
    assert keys(recipe, workspace)["track driver"] == keys(other, workspace)["track driver"]
    assert keys(recipe, workspace)["embed"] != keys(other, workspace)["embed"]
    toys.fill(workspace, reenact_graph(recipe))
    assert running(reenact_graph(other), workspace) == [
        "extract source 1",
        "track source 1",
        "embed",
        "reenact",
        "composite",
    ]


def test_another_output_name_runs_nothing(recipe, workspace, tmp_path):
    toys.fill(workspace, reenact_graph(recipe))
    assert running(reenact_graph(replace(recipe, output=tmp_path / "q.mp4")), workspace) == []


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ({"crf": 20}, ["composite"]),
        ({"framing": "crop"}, ["composite"]),
        # Crops are as large as the output shows them, unless their size is given.
        ({"max_side": 720}, ["embed", "reenact", "composite"]),
        ({"audio": "none"}, ["composite"]),
        ({"output": Path("o.webm")}, ["composite"]),
        ({"mouth": 0.5}, ["reenact", "composite"]),
        ({"motion": "absolute"}, ["reenact", "composite"]),
        ({"shots": 4}, ["embed", "reenact", "composite"]),
        ({"driver_face": "left"}, ["track driver", "reenact", "composite"]),
        ({"face": "left"}, ["track source 1", "embed", "reenact", "composite"]),
        ({"compare": True}, ["compare"]),
        (
            {"precision": "bf16"},
            ["track source 1", "track driver", "embed", "reenact", "composite"],
        ),
        ({"precision": "fp32"}, []),
    ],
)
def test_a_changed_option_runs_only_what_it_touches(recipe, workspace, change, runs):
    toys.fill(workspace, reenact_graph(recipe))
    assert running(reenact_graph(replace(recipe, **change)), workspace) == runs


def test_the_plan_names_the_option(recipe, workspace):
    toys.fill(workspace, reenact_graph(recipe))
    changed = replace(recipe, smooth=0.5)
    steps = {step.node.id: step for step in plan(reenact_graph(changed), workspace)}
    assert steps["track driver"].reason == "smooth: 1 -> 0.5"
    assert steps["reenact"].reason == "because embed and track driver run"
    assert steps["finetune"].reason == "--finetune-steps 0 takes the generator as it is"


def test_every_option_that_makes_the_picture_is_in_a_key(recipe, workspace):
    changes = {
        "size": 256,
        "shots": 2,
        "tracker": "face-alignment",
        "face": "right",
        "driver_face": "right",
        "no_face": "hold",
        "smooth": 0.25,
        "motion": "absolute",
        "pose": 0.5,
        "mouth": 0.5,
        "eyes": 0.5,
        "brows": 0.5,
        "gaze": 0.5,
        "framing": "crop",
        "max_side": 640,
        "audio": "none",
        "crf": 30,
        "precision": "bf16",
        "face_like": recipe.sources[0].with_name("face.png"),
    }
    targets = [keys(replace(recipe, **{name: value}), workspace) for name, value in changes.items()]
    assert len(
        {each["composite"] for each in targets} | {keys(recipe, workspace)["composite"]}
    ) == (len(changes) + 1)
    # What is left out of the keys: files (their digests are in) and how or where to deliver.
    left_out = {"sources", "driver", "output", "workspace", "generator", "compare", "force"}
    # What only learned generators take has a test of its own.
    left_out |= {"weights", "finetune_steps", "perceptual", "seed"}
    assert set(vars(recipe)) == set(changes) | left_out


def test_what_has_no_choice_of_arithmetic_has_none_in_its_key(recipe, workspace):
    plain = replace(recipe, generator="warp", tracker="face-alignment")
    assert keys(plain, workspace) == keys(replace(plain, precision="bf16"), workspace)
    warped = replace(recipe, generator="warp")
    stages = {
        node.stage.name: node.stage
        for node in reenact_graph(replace(warped, precision="bf16")).nodes
    }
    assert (stages["track"].precision, stages["reenact"].precision) == ("bf16", "fp32")


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("tracker_detector", {"track source 1", "track driver", "embed", "reenact", "composite"}),
        ("tracker_landmarks", {"track source 1", "track driver", "embed", "reenact", "composite"}),
        ("face_model", {"track source 1", "track driver", "embed", "reenact", "composite"}),
        ("swift", {"embed", "reenact", "composite"}),
    ],
)
def test_weights_that_were_trained_again_make_anew_what_they_made(
    recipe, workspace, tmp_path, monkeypatch, name, touched
):
    toys.fill(workspace, reenact_graph(recipe))
    shipped = graphs.shipped_weight(name)
    trained = tmp_path / shipped.name
    weights = bytearray(shipped.read_bytes())
    weights[-1] ^= 1
    trained.write_bytes(weights)
    usual = graphs.shipped_weight
    monkeypatch.setattr(
        graphs, "shipped_weight", lambda asked: trained if asked == name else usual(asked)
    )
    steps = {step.node.id: step for step in plan(reenact_graph(recipe), workspace)}
    assert {name for name, step in steps.items() if step.action == "run"} == touched
    assert any(f"{trained.name} changed" in step.reason for step in steps.values())


def test_a_card_that_lies_only_beside_the_weights_is_in_the_keys(recipe, workspace, tmp_path):
    path, card = tmp_path / "own.safetensors", tmp_path / "own.json"
    save_file({"generator.w": np.zeros(2, np.float32)}, path)
    said = {"preset": "swift", "draw_style": 1, "options": {}, "size_px": 64}
    card.write_text(json.dumps(said))
    own = replace(recipe, weights=path)
    first = keys(own, workspace)
    card.write_text(json.dumps(said | {"size_px": 128}))
    touched = {name for name, key in keys(own, workspace).items() if key != first[name]}
    assert touched == {"embed", "reenact", "composite"}


def test_another_release_of_a_tracker_is_another_tracker(recipe, workspace, monkeypatch):
    theirs = replace(recipe, tracker="face-alignment")
    first = keys(theirs, workspace)
    monkeypatch.setattr(graphs, "version_of", lambda package: f"{package} 9.9")
    assert keys(theirs, workspace)["track driver"] != first["track driver"]
    assert keys(recipe, workspace)["track driver"] not in first.values()


def test_a_sound_file_enters_by_its_content(recipe, workspace, tmp_path):
    with_sound = replace(recipe, audio=tmp_path / "sound.wav")
    first = keys(with_sound, workspace)
    shut = tmp_path / "elsewhere.wav"
    shut.write_bytes((tmp_path / "sound.wav").read_bytes())
    assert keys(replace(recipe, audio=shut), workspace) == first
    shut.write_text("another sound")
    assert keys(replace(recipe, audio=shut), workspace)["composite"] != first["composite"]


def test_the_face_to_look_for_belongs_to_the_sources_alone(recipe, workspace, tmp_path):
    liked = keys(replace(recipe, face_like=tmp_path / "face.png"), workspace)
    assert liked["track source 1"] != keys(recipe, workspace)["track source 1"]
    assert liked["track driver"] == keys(recipe, workspace)["track driver"]


def test_one_file_in_two_places_is_one_node(recipe, tmp_path):
    link = tmp_path / "link.mp4"
    link.symlink_to(recipe.driver)
    graph = reenact_graph(replace(recipe, sources=(recipe.driver, link)))
    ids = [node.id for node in graph.nodes]
    assert ids == [
        "extract source 1",
        "track source 1",
        "embed",
        "finetune",
        "reenact",
        "composite",
    ]
    assert graph.node("embed").inputs["frames_1"] == "extract source 1"
    assert graph.node("composite").inputs["driver"] == "extract source 1"
    apart = reenact_graph(replace(recipe, sources=(recipe.driver,), driver_face="left"))
    assert "track driver" in [node.id for node in apart.nodes]


@pytest.mark.parametrize(
    ("stage", "ids"),
    [
        ("extract", ["extract source 1"]),
        ("track", ["extract source 1", "track source 1"]),
        ("embed", ["extract source 1", "track source 1", "embed"]),
        ("finetune", ["extract source 1", "track source 1", "embed", "finetune"]),
    ],
)
def test_a_single_stage_needs_only_the_sources(recipe, stage, ids):
    graph = stage_graph(stage, Recipe(sources=recipe.sources))
    assert [node.id for node in graph.nodes] == ids
    assert graph.target == ids[-1]
    assert graph.recipe is None


def test_a_single_stage_shares_its_artifacts_with_the_whole(recipe, workspace):
    whole = keys(replace(recipe, compare=True), workspace)
    for stage in ("reenact", "composite", "compare"):
        part = graph_keys(stage_graph(stage, recipe), workspace.digests)
        assert part.items() <= whole.items()
        assert stage in part
    driver = stage_graph("track", Recipe(driver=recipe.driver))
    assert driver.target == "track driver"
    assert graph_keys(driver, workspace.digests)["track driver"] == whole["track driver"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sources": ()}, "no source"),
        ({"driver": None}, "no driver"),
        ({"output": None}, "no output"),
        ({"output": Path("o.avi")}, "extension"),
    ],
)
def test_a_recipe_that_lacks_something_says_what(recipe, change, said):
    with pytest.raises(UsageError, match=said):
        reenact_graph(replace(recipe, **change))


def test_what_a_name_says_of_a_file_is_in_its_key_and_nothing_else_of_it(recipe, workspace):
    def key(name: str) -> str:
        path = recipe.driver.with_name(name)
        path.write_bytes(recipe.driver.read_bytes())
        return keys(replace(recipe, driver=path), workspace)["extract driver"]

    assert key("other.mp4") == key("OTHER.MP4") == key("driver.mp4") != key("driver.txt")
    assert key("a." + "x" * 200) == key("a") == key("a.\udce9")


def test_crops_of_a_given_size_serve_outputs_of_all_sizes(recipe, workspace):
    given = replace(recipe, size=512)
    toys.fill(workspace, reenact_graph(given))
    assert running(reenact_graph(replace(given, max_side=720)), workspace) == ["composite"]
