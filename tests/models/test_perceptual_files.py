"""Files of perceptual networks: found by their names, refused with a hint, real ones at work."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tests.models.tiny_perceptual import save_small, save_squeeze, save_vgg19, tiny_vgg
from thvideo.errors import InputError, UsageError
from thvideo.models.content_weights import FEW_SHOT_CONTENT
from thvideo.models.perceptual import (
    PerceptualNet,
    content_loss,
    lpips_distance,
    perceptual_net,
)
from thvideo.models.perceptual_files import check_perceptual_file

_SHARED = Path(__file__).resolve().parents[3] / "shared"


def test_a_folder_is_searched_for_the_usual_names(tmp_path: Path) -> None:
    images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    by_file = perceptual_net("squeezenet", save_squeeze(tmp_path))
    by_folder = perceptual_net("squeezenet", tmp_path)
    torch.testing.assert_close(by_folder(images), by_file(images))


def test_an_unknown_network_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        perceptual_net("vgg", tmp_path)
    assert "vgg19-small" in error.value.hint


def _missing(folder: Path) -> Path:
    return folder / "nothing.pth"


def _text(folder: Path) -> Path:
    (folder / "text.safetensors").write_text("no tensors")
    return folder / "text.safetensors"


def _cut(folder: Path) -> Path:
    path = save_vgg19(folder)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _module(folder: Path) -> Path:
    torch.save(nn.Linear(2, 2), folder / "module.pth")
    return folder / "module.pth"


def _nested(folder: Path) -> Path:
    torch.save({"state_dict": {"features.0.weight": torch.zeros(1)}}, folder / "nested.pth")
    return folder / "nested.pth"


def _other_network(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in tiny_vgg("vgg16").state_dict().items()}
    torch.save(state, folder / "vgg16.pth")
    return folder / "vgg16.pth"


def _other_shapes(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in tiny_vgg("vgg19").state_dict().items()}
    state["features.10.weight"] = torch.zeros(8, 7, 3, 3)
    torch.save(state, folder / "shapes.pth")
    return folder / "shapes.pth"


def _no_numbers(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in tiny_vgg("vgg19").state_dict().items()}
    state["features.10.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, folder / "nan.pth")
    return folder / "nan.pth"


def _torchvision(folder: Path) -> Path:
    return save_vgg19(folder).rename(folder / "vgg19-dcbb9e9d.pth")


def _picture(folder: Path) -> Path:
    (folder / "face.png").write_bytes(b"png")
    return folder / "face.png"


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _text,
        _cut,
        _module,
        _nested,
        _other_network,
        _other_shapes,
        _no_numbers,
        _torchvision,
        _picture,
    ],
)
def test_a_file_that_is_not_the_weights_is_named_with_a_hint(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as error:
        perceptual_net("vgg19", path)
    assert path.name in error.value.fact
    assert error.value.hint


def _vgg16(folder: Path, layout: str = "features.{}") -> Path:
    state = {layout.format(k): v for k, v in tiny_vgg("vgg16").state_dict().items()}
    torch.save(state, folder / "face.pth")
    return folder / "face.pth"


def _plain_vgg16(folder: Path) -> Path:
    return _vgg16(folder, "{}")


def _old_vgg19(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in tiny_vgg("vgg19").state_dict().items()}
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


@pytest.mark.parametrize("name", FEW_SHOT_CONTENT)
@pytest.mark.parametrize(
    "make",
    [
        save_vgg19,
        save_small,
        save_squeeze,
        _vgg16,
        _plain_vgg16,
        _old_vgg19,
        _text,
        _cut,
        _module,
        _nested,
        _torchvision,
        _picture,
    ],
)
def test_the_beginning_of_a_file_tells_whether_it_can_be_loaded(
    tmp_path: Path, name: str, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    try:
        perceptual_net(name, path)
    except InputError:
        with pytest.raises(InputError) as error:
            check_perceptual_file(name, path)
        assert path.name in error.value.fact
        assert error.value.hint
    else:
        check_perceptual_file(name, path)


def test_linear_layers_that_are_missing_or_of_another_network_are_named(tmp_path: Path) -> None:
    path = save_squeeze(tmp_path)
    linear = tmp_path / "lpips_squeeze_linear.pth"
    torch.save({f"lin{n}.model.1.weight": torch.ones(1, 3, 1, 1) for n in range(7)}, linear)
    with pytest.raises(InputError):
        perceptual_net("lpips-squeeze", path)
    linear.unlink()
    with pytest.raises(InputError) as error:
        perceptual_net("lpips-squeeze", path)
    assert linear.name in error.value.fact


@pytest.fixture
def shared_weights() -> Path:
    folder = _SHARED / "weights"
    if not (folder / "squeezenet11_imagenet.safetensors").is_file():
        pytest.skip(f"no third-party weights at {folder}")
    return folder


def _astronaut(side_px: int) -> Tensor:
    data = pytest.importorskip("skimage.data")
    picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 127.5 - 1
    return functional.interpolate(picture, size=(side_px, side_px), mode="area")


def _blurred(picture: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(picture, size, 1, size // 2, count_include_pad=False)


def test_squeezenet_fed_by_our_preprocessing_sees_a_cat(shared_weights: Path) -> None:
    data = pytest.importorskip("skimage.data")
    cat = torch.from_numpy(data.cat()).permute(2, 0, 1)[None].float() / 127.5 - 1
    cat = functional.interpolate(cat[:, :, :, 75:375], size=(227, 227), mode="area")
    net = perceptual_net("squeezenet", shared_weights)
    read = load_file(shared_weights / net.preset.file)
    with torch.no_grad():
        scores = functional.conv2d(
            net(cat)[-1], read["conv10.weight"].float(), read["conv10.bias"].float()
        )
    best = scores.relu().mean(dim=(2, 3))[0].topk(3).indices.tolist()
    # ImageNet 281 to 285 are cats.
    assert set(best) & set(range(281, 286))


@pytest.mark.parametrize("name", ["vgg19-small", "squeezenet"])
def test_real_networks_see_more_difference_in_more_blur(shared_weights: Path, name: str) -> None:
    net: PerceptualNet = perceptual_net(name, shared_weights)
    sharp = _astronaut(128)
    losses = [content_loss(net, _blurred(sharp, size), sharp).item() for size in (1, 3, 5, 9)]
    assert losses[0] == 0
    assert losses == sorted(losses) and losses[1] > 0


def test_real_lpips_grows_with_blur_and_is_small_for_noise_one_cannot_see(
    shared_weights: Path,
) -> None:
    net = perceptual_net("lpips-squeeze", shared_weights)
    sharp = _astronaut(128)
    noise = torch.randn(sharp.shape, generator=torch.Generator().manual_seed(1)) * 0.005
    pairs = [sharp, sharp + noise, *(_blurred(sharp, size) for size in (3, 5, 9))]
    found = [lpips_distance(net, sharp, other).item() for other in pairs]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[1] < 0.01 < found[2]
