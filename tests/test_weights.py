from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import InputError, MissingWeightsError, OutputError
from impasto.features import Extractor
from impasto.networks import NETWORKS, VGG19, Network
from impasto.weights import (
    cache_folder,
    find_weights,
    how_to_get,
    import_weights,
    load_weights,
    search_path,
)

Weights = dict[str, Tensor]
LAYOUTS = {
    "keras 1": ("{group}_W_1:0", "{group}_b_1:0"),
    "keras 2": ("{group}/kernel:0", "{group}/bias:0"),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Network) -> Path:
    """An empty cache, and the tiny network among those that are known."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    monkeypatch.delenv("IMPASTO_WEIGHTS_DIR", raising=False)
    monkeypatch.setitem(NETWORKS, tiny.name, tiny)
    return folder


def write_keras(path: Path, weights: Weights, layout: str = "keras 1", nested: bool = False) -> Path:
    """Write our tensors as Keras does: one group a convolution, kernels height x width x inputs x outputs."""
    kernel_name, bias_name = LAYOUTS[layout]
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        root.create_group("block1_pool").attrs["weight_names"] = np.array([], dtype="S1")
        for name in (name for name in weights if name.endswith(".weight")):
            conv = name.removesuffix(".weight")
            group_name = f"block{conv[4]}_conv{conv[6]}"
            group = root.create_group(group_name)
            names = [kernel_name.format(group=group_name), bias_name.format(group=group_name)]
            group.attrs["weight_names"] = [text.encode() for text in names]
            group[names[0]] = weights[name].permute(2, 3, 1, 0).numpy()
            group[names[1]] = weights[f"{conv}.bias"].numpy()
    return path


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_equal(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_keras_file_is_recognized_and_kept(
    layout: str, nested: bool, cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    network, target = import_weights(write_keras(tmp_path / "any.h5", tiny_weights, layout, nested))
    assert network is tiny
    assert find_weights(tiny) == target
    assert cache in target.parents
    assert_equal(load_weights(tiny), tiny_weights)


def test_names_of_weights_may_be_text(cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    path = write_keras(tmp_path / "any.h5", tiny_weights)
    with h5py.File(path, "a") as file:
        group = file["block2_conv1"]
        group.attrs["weight_names"] = list(group.keys())  # in alphabetical order, kernels first
    import_weights(path)
    assert_equal(load_weights(tiny), tiny_weights)


def test_a_safetensors_file_is_recognized_and_kept(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    save_file(tiny_weights, tmp_path / "any.safetensors")
    assert import_weights(tmp_path / "any.safetensors")[0] is tiny
    assert_equal(load_weights(tiny), tiny_weights)


def test_the_sum_of_the_source_is_recorded(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    from safetensors import safe_open

    source = write_keras(tmp_path / "any.h5", tiny_weights)
    _, target = import_weights(source)
    with safe_open(target, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert metadata["licence"]


def test_a_kernel_keeps_its_orientation(cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    weights = {name: torch.zeros_like(tensor) for name, tensor in tiny_weights.items()}
    path = write_keras(tmp_path / "any.h5", weights)
    with h5py.File(path, "a") as file:
        # In Keras' order: row 0, column 2, input 1 (green), output 3: looks above and to the right.
        file["block1_conv1"]["block1_conv1_W_1:0"][0, 2, 1, 3] = 1.0
    import_weights(path)
    image = torch.full((1, 3, 8, 8), 0.5)
    image[0, 1, 4, 4] = 1.0
    seen = Extractor(tiny, load_weights(tiny))(image, ["relu1_1"])["relu1_1"][0]
    assert [position.tolist() for position in (seen == seen.max()).nonzero()] == [[3, 5, 3]]


def test_importing_again_replaces_what_was_there(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    import_weights(write_keras(tmp_path / "a.h5", tiny_weights))
    doubled = {name: 2 * tensor for name, tensor in tiny_weights.items()}
    import_weights(write_keras(tmp_path / "b.h5", doubled))
    assert_equal(load_weights(tiny), doubled)
    assert files_under(cache) == ["weights/tiny.safetensors"]


def cut_short(path: Path, tiny_weights: Weights) -> None:
    data = write_keras(path, tiny_weights).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def without_a_layer(path: Path, tiny_weights: Weights) -> None:
    write_keras(path, {name: tensor for name, tensor in tiny_weights.items() if not name.startswith("conv3_2")})


def without_a_bias(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        group = file["block3_conv2"]
        group.attrs["weight_names"] = group.attrs["weight_names"][:1]


def without_a_dataset(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        del file["block3_conv2"]["block3_conv2_b_1:0"]


def without_names(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        del file["block3_conv2"].attrs["weight_names"]


def with_numbers_for_names(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        file["block3_conv2"].attrs["weight_names"] = [1, 2]


def with_a_group_for_a_kernel(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        del file["block3_conv2"]["block3_conv2_b_1:0"]
        file["block3_conv2"].create_group("block3_conv2_b_1:0")


def with_text_for_numbers(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        del file["block3_conv2"]["block3_conv2_b_1:0"]
        file["block3_conv2"]["block3_conv2_b_1:0"] = [b"a", b"b"]


def with_a_dataset_for_a_group(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        del file["block3_conv2"]
        file["block3_conv2"] = [1.0, 2.0]


def of_other_widths(path: Path, tiny_weights: Weights) -> None:
    write_keras(path, {name: tensor.repeat_interleave(2, dim=0) for name, tensor in tiny_weights.items()})


def of_nothing(path: Path, tiny_weights: Weights) -> None:
    h5py.File(path, "w").close()


def with_nan(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        file["block5_conv4"]["block5_conv4_W_1:0"][1, 1, 0, 0] = np.nan


def with_infinity(path: Path, tiny_weights: Weights) -> None:
    with h5py.File(write_keras(path, tiny_weights), "a") as file:
        file["block1_conv1"]["block1_conv1_b_1:0"][0] = np.inf


def of_plain_text(path: Path, tiny_weights: Weights) -> None:
    path.write_text("<html>404</html>")


def empty(path: Path, tiny_weights: Weights) -> None:
    path.touch()


@pytest.mark.parametrize(
    "spoil",
    [
        cut_short,
        without_a_layer,
        without_a_bias,
        without_a_dataset,
        without_names,
        with_numbers_for_names,
        with_a_group_for_a_kernel,
        with_text_for_numbers,
        with_a_dataset_for_a_group,
        of_other_widths,
        of_nothing,
        with_nan,
        with_infinity,
        of_plain_text,
        empty,
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name_and_leaves_nothing(
    spoil: Callable[[Path, Weights], None], cache: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "spoiled.h5"
    spoil(path, tiny_weights)
    with pytest.raises(InputError, match=r"spoiled\.h5"):
        import_weights(path)
    assert not cache.exists() or files_under(cache) == []


def test_a_refused_file_leaves_the_weights_that_were_there(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    import_weights(write_keras(tmp_path / "good.h5", tiny_weights))
    with_nan(tmp_path / "bad.h5", tiny_weights)
    with pytest.raises(InputError, match="not finite"):
        import_weights(tmp_path / "bad.h5")
    assert_equal(load_weights(tiny), tiny_weights)


@pytest.mark.parametrize("target", ["nowhere.h5", ""])
def test_a_missing_file_is_refused(target: str, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        import_weights(tmp_path / target)


def test_a_damaged_safetensors_file_is_refused(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(tiny_weights, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        import_weights(path)


def test_a_cache_that_cannot_be_written_is_refused_with_the_remedy(
    cache: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    cache.write_text("a file in the place of the folder")
    with pytest.raises(OutputError, match="IMPASTO_CACHE"):
        import_weights(write_keras(tmp_path / "any.h5", tiny_weights))


def test_a_full_disk_leaves_no_half_file(
    cache: Path, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(weights: Weights, path: Path, metadata: dict[str, str]) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("impasto.weights.save_file", fail)
    with pytest.raises(OutputError, match="No space left"):
        import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    assert files_under(cache) == []


def test_missing_weights_are_reported_with_the_way_to_get_them(cache: Path, tiny: Network) -> None:
    assert find_weights(tiny) is None
    with pytest.raises(MissingWeightsError, match=r"(?s)tiny.*https://example.org/tiny.h5.*impasto weights import"):
        load_weights(tiny)


@pytest.mark.parametrize("damage", ["short", "foreign", "empty"])
def test_damaged_weights_in_the_cache_are_reported(
    damage: str, install: Callable[[Weights], Path], tiny: Network, tiny_weights: Weights
) -> None:
    path = install(tiny_weights if damage == "short" else {"conv1_1.weight": torch.zeros(1)})
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-100])
    if damage == "empty":
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"tiny\.safetensors.*import it again"):
        load_weights(tiny)


def test_the_folder_of_the_environment_is_looked_at_first(
    install: Callable[[Weights], Path],
    tiny: Network,
    tiny_weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tiny_weights)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(own))
    assert search_path() == [own, cache_folder() / "weights"]
    assert_equal(load_weights(tiny), tiny_weights)
    doubled = {name: 2 * tensor for name, tensor in tiny_weights.items()}
    save_file(doubled, own / "tiny.safetensors")
    assert_equal(load_weights(tiny), doubled)


def test_a_tilde_in_the_environment_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"


def test_without_the_environment_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPASTO_CACHE", raising=False)
    assert cache_folder().is_absolute()
    assert "impasto" in str(cache_folder())


def test_looking_for_weights_makes_no_folders(cache: Path, tiny: Network) -> None:
    find_weights(tiny)
    assert not cache.exists()


def test_kept_weights_can_be_read_by_whom_any_new_file_can(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    _, target = import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_way_to_get_vgg19_names_the_file_of_its_address() -> None:
    text = how_to_get(VGG19)
    assert VGG19.source in text
    assert text.endswith("impasto weights import vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")


@pytest.mark.weights
def test_the_trained_weights_are_finite_and_those_of_vgg19(vgg19: Weights) -> None:
    assert {name: tuple(tensor.shape) for name, tensor in vgg19.items()} == VGG19.tensor_shapes
    assert all(bool(torch.isfinite(tensor).all()) for tensor in vgg19.values())
    # The first kernels are smooth color and edge filters, far from noise: neighbors resemble each other.
    first = vgg19["conv1_1.weight"]
    assert torch.corrcoef(torch.stack([first[..., :2].flatten(), first[..., 1:].flatten()]))[0, 1] > 0.1
