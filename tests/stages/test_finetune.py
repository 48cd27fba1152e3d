"""Fine-tuning as a stage: what it keeps, what runs again, and when there is nothing to do."""

import json
from pathlib import Path

import pytest
import torch

from tests.models.tiny_perceptual import save_small
from tests.stages.conftest import Runner
from tests.stages.test_reenactment import ran
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_PAPER, SMALL_SWIFT
from thvideo.errors import InputError, UsageError
from thvideo.landmarks.draw import DRAW_STYLE
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.plan import plan
from thvideo.pipeline.recipe import make_recipe
from thvideo.stages.finetune import Finetune, looked_through
from thvideo.synthesis.networks import become_personal, load_networks
from thvideo.weights.load import load_weights
from thvideo.weights.personal import PERSONAL, PersonalWeights, load_personal, save_personal
from thvideo.workspace.store import Workspace

CARD = {"draw_style": DRAW_STYLE}


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("w") / "mine.safetensors", SMALL_SWIFT, spread=0.02)


def learned(path: Path, steps: int, **others: object) -> dict[str, object]:
    return {"generator": "swift", "weights": path, "finetune_steps": steps, "size": 128, **others}


def test_a_person_is_learned_once_drawn_from_and_told_of(
    reenact: Runner,
    painting: Path,
    driver: Path,
    swift: Path,
    tmp_path: Path,
    shared_workspace: Path,
) -> None:
    before_it = set(shared_workspace.glob(f"artifacts/finetune/*/{PERSONAL}"))
    events = reenact(tmp_path / "a.mp4", **learned(swift, 2))
    assert {"finetune", "reenact"} <= set(ran(events))
    (path,) = set(shared_workspace.glob(f"artifacts/finetune/*/{PERSONAL}")) - before_it
    personal = load_personal(path)
    before = load_weights(swift)[0]["generator"]
    assert personal.card["steps"] == 2
    assert personal.generator.keys() == before.keys()
    assert any(not torch.equal(v, before[k]) for k, v in personal.generator.items())
    told = json.loads((tmp_path / "a.json").read_text())["finetune"]
    assert [point["step"] for point in told["curve"]] == [0, 2]
    assert told["steps"] == 2
    assert {"distance", "mouth", "eyes"} < set(told["curve"][0])

    def to_run(**options: object) -> list[str]:
        given = {"sources": (painting,), "driver": driver, "output": tmp_path / "a.mp4"}
        graph = reenact_graph(make_recipe({**given, **options}))
        steps = plan(graph, Workspace(shared_workspace))
        return [step.node.id for step in steps if step.action == "run"]

    assert to_run(**learned(swift, 2)) == []
    assert to_run(**learned(swift, 2, seed=1)) == ["finetune", "reenact", "composite"]
    assert to_run(**learned(swift, 0)) == ["reenact", "composite"]


def test_a_perceptual_network_is_looked_through_and_counts_as_in_meta_training(
    reenact: Runner, swift: Path, tmp_path: Path, shared_workspace: Path
) -> None:
    small = save_small(tmp_path)
    asked = learned(swift, 1, perceptual=[f"vgg19-small={small}"])

    def person(**options: object) -> PersonalWeights:
        before_it = set(shared_workspace.glob(f"artifacts/finetune/*/{PERSONAL}"))
        reenact(tmp_path / "a.mp4", **options)
        (path,) = set(shared_workspace.glob(f"artifacts/finetune/*/{PERSONAL}")) - before_it
        return load_personal(path)

    with_it, without = person(**asked), person(**learned(swift, 1))
    assert any(not torch.equal(v, without.generator[k]) for k, v in with_it.generator.items())


@pytest.mark.parametrize(
    ("steps", "perceptual", "message"),
    [
        (0, ["vgg19-small=a.safetensors"], "nothing is fine-tuned"),
        (-1, ["vgg=a.safetensors"], "cannot look through 'vgg'"),
        (-1, ["a.safetensors"], "is not NAME=PATH"),
        (-1, ["vgg19=a.pth", "vgg19=b.pth"], "given twice"),
    ],
)
def test_a_perceptual_network_that_cannot_serve_is_said_before_any_work(
    swift: Path, tmp_path: Path, steps: int, perceptual: list[str], message: str
) -> None:
    files = {"sources": (tmp_path / "a.jpg",), "driver": tmp_path / "d.mp4"}
    with pytest.raises(UsageError, match=message):
        reenact_graph(
            make_recipe(
                {**files, "output": tmp_path / "a.mp4", "perceptual": perceptual}
                | learned(swift, steps)
            )
        )


def test_a_file_of_another_network_is_said_before_any_work(swift: Path, tmp_path: Path) -> None:
    files = {"sources": (tmp_path / "a.jpg",), "driver": tmp_path / "d.mp4"}
    given = [f"vgg19={save_small(tmp_path)}"]
    asked = files | {"output": tmp_path / "a.mp4", "perceptual": given} | learned(swift, -1)
    with pytest.raises(InputError, match="does not hold the weights of vgg19"):
        reenact_graph(make_recipe(asked))


def test_the_order_in_which_perceptual_networks_are_given_changes_nothing(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("weights", "vggface", "vgg19")}
    for given in (files, dict(reversed(files.items()))):
        assert list(looked_through(given)) == ["vgg19", "vggface"]


def test_drawing_takes_the_person_s_own_generator(tmp_path: Path, swift: Path) -> None:
    networks = load_networks(swift, "swift", torch.device("cpu"))
    tensors = {k: v + 1 for k, v in networks.generator.state_dict().items()}
    adain = torch.arange(networks.generator.n_adain).float()
    save_personal(tmp_path / PERSONAL, PersonalWeights(tensors, adain, CARD))
    assert torch.equal(become_personal(networks, tmp_path / PERSONAL), adain)
    assert all(torch.equal(v, tensors[k]) for k, v in networks.generator.state_dict().items())
    paper = write_tiny(tmp_path / "paper.safetensors", SMALL_PAPER)
    with pytest.raises(InputError, match="other weights"):
        become_personal(load_networks(paper, "paper", torch.device("cpu")), tmp_path / PERSONAL)
    for card in ({}, {"draw_style": DRAW_STYLE + 1}):
        save_personal(tmp_path / PERSONAL, PersonalWeights(tensors, adain, card))
        with pytest.raises(InputError, match="landmark images of style"):
            become_personal(networks, tmp_path / PERSONAL)


def test_a_warp_has_nothing_to_learn() -> None:
    assert Finetune("warp", -1).skip_reason() == ("the warp generator has no weights to fine-tune")
    asked = Finetune("swift", 0).skip_reason()
    assert asked == "--finetune-steps 0 takes the generator as it is"
    assert Finetune("swift", -1).skip_reason() is None
