"""Where weights are looked for, and whose files are trusted."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from impasto.networks import NETWORKS, VGG19, VGG19_TORCHVISION, Network
from impasto.weights import (
    best_present,
    cache_folder,
    find_weights,
    fingerprint,
    how_to_get,
    import_weights,
    load_weights,
    metadata_of,
    passed_over,
    search_path,
)
from impasto.weights.search import BUILT_IN

from .conftest import assert_equal, in_sequence, published, write_keras
from .test_pickled import save

Weights = dict[str, Tensor]


def doubled(weights: Weights) -> Weights:
    return {name: 2 * tensor for name, tensor in weights.items()}


def test_the_folders_in_their_order(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    others = [home / ".cache" / "torch" / "hub" / "checkpoints", home / ".keras" / "models"]
    assert search_path() == [cache / "weights", *others, BUILT_IN]
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", "~/own")
    assert search_path() == [home / "own", cache / "weights", *others, BUILT_IN]


def test_the_environment_of_torch_and_keras_is_heeded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert search_path()[1:3] == [tmp_path / "xdg" / "torch" / "hub" / "checkpoints", tmp_path / "keras" / "models"]
    monkeypatch.setenv("TORCH_HOME", "~/torch")
    assert search_path()[1] == tmp_path / "home" / "torch" / "hub" / "checkpoints"


def test_the_folder_of_the_environment_is_looked_at_first(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(own))
    assert_equal(load_weights(tiny), tiny_weights)
    save_file(doubled(tiny_weights), own / "tiny.safetensors")
    assert_equal(load_weights(tiny), doubled(tiny_weights))


def test_the_folder_of_the_environment_may_hold_the_file_as_it_was_published(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(tmp_path))
    path = write_keras(tmp_path / "tiny.h5", tiny_weights)
    assert find_weights(tiny) == path
    assert_equal(load_weights(tiny), tiny_weights)
    assert not cache.exists()  # or these weights would be used without that folder, too


@pytest.fixture
def in_keras(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Network, Path]:
    """The tiny network as Keras has downloaded it, and the file."""
    path = write_keras(tmp_path / "home" / ".keras" / "models" / "tiny.h5", tiny_weights)
    network = published(tiny, path)
    monkeypatch.setitem(NETWORKS, tiny.name, network)
    return network, path


def test_what_keras_downloaded_is_taken_and_converted_once(
    in_keras: tuple[Network, Path], cache: Path, tiny_weights: Weights
) -> None:
    network, path = in_keras
    assert find_weights(network) == path
    assert_equal(load_weights(network), tiny_weights)
    kept = cache / "weights" / "tiny.safetensors"
    assert find_weights(network) == kept
    assert metadata_of(kept)["published"] == "yes"
    path.unlink()
    assert_equal(load_weights(network), tiny_weights)


def test_what_torch_hub_downloaded_is_taken(
    narrow: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hub" / "checkpoints" / "narrow.pth"
    path.parent.mkdir(parents=True)
    save(in_sequence(tiny_weights), path, "bare")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = published(narrow, path)
    monkeypatch.setitem(NETWORKS, narrow.name, network)
    assert find_weights(network) == path
    assert_equal(load_weights(network), tiny_weights)


def test_where_nothing_can_be_kept_it_is_read_each_time(
    in_keras: tuple[Network, Path], cache: Path, tiny_weights: Weights
) -> None:
    network, path = in_keras
    cache.write_text("a file in the place of the folder")
    for _ in range(2):
        assert_equal(load_weights(network), tiny_weights)
    assert find_weights(network) == path


@pytest.mark.parametrize("damage", ["short", "changed"])
def test_what_another_program_has_half_downloaded_is_passed_over(
    damage: str, in_keras: tuple[Network, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network, path = in_keras
    data = path.read_bytes()
    path.write_bytes(data[:-100] if damage == "short" else data[:-1] + bytes([data[-1] ^ 1]))
    with caplog.at_level(logging.INFO, logger="impasto"):
        assert find_weights(network) is None
    assert f"'{path}' is passed over" in caplog.text
    assert passed_over(network) == [path]
    assert best_present() is None


def test_a_network_whose_checksum_is_unknown_is_not_taken_from_others(
    in_keras: tuple[Network, Path], tiny: Network
) -> None:
    from dataclasses import replace

    assert find_weights(replace(in_keras[0], md5="")) is None


def test_the_best_network_is_the_first_in_the_list(
    cache: Path, narrow: Network, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    assert best_present() is None
    path = save(in_sequence(tiny_weights), tmp_path / "any.pth")
    import_weights(path, narrow)
    assert best_present() is narrow
    import_weights(path, tiny)
    assert best_present() is tiny
    assert next(iter(NETWORKS.values())) is VGG19


def test_a_tilde_in_the_environment_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", "~/somewhere")
    assert cache_folder() == tmp_path / "home" / "somewhere"


def test_without_the_environment_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPASTO_CACHE", raising=False)
    assert cache_folder().is_absolute()
    assert "impasto" in str(cache_folder())


def test_without_a_home_only_the_own_cache_is_looked_at(
    cache: Path, tiny: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", "~nobody-has-this-name/keras")
    monkeypatch.setenv("TORCH_HOME", "~nobody-has-this-name/torch")
    assert search_path() == [cache / "weights", BUILT_IN]
    assert find_weights(tiny) is None


def test_looking_for_weights_makes_no_folders(cache: Path, tiny: Network) -> None:
    find_weights(tiny)
    assert not cache.exists()


@pytest.mark.parametrize("network", [VGG19, VGG19_TORCHVISION])
def test_the_way_to_get_weights_is_direct_by_proxy_or_by_another_machine(network: Network) -> None:
    lines = [line.strip() for line in how_to_get(network).splitlines()]
    commands = [lines[1], lines[3], lines[5], lines[7]]
    assert commands == [
        f"impasto weights get {network.name}",
        f"HTTPS_PROXY=http://proxy:port impasto weights get {network.name}",
        network.source,
        f"impasto weights import {network.source.rpartition('/')[2]}",
    ]
    assert f"({round(network.size / 1e6)} MB)" in lines[0]


def test_a_fingerprint_is_of_names_shapes_and_values(tiny_weights: Weights) -> None:
    one = fingerprint(tiny_weights)
    assert fingerprint(dict(reversed(tiny_weights.items()))) == one
    bias = tiny_weights["conv1_1.bias"]
    others = [
        tiny_weights | {"conv1_1.bias": bias + 1e-6},
        tiny_weights | {"conv1_1.bias": bias.view(2, 2)},
        {name.replace("conv1_1", "conv0_1"): tensor for name, tensor in tiny_weights.items()},
    ]
    assert len({one, *map(fingerprint, others)}) == 4
    kernel = tiny_weights["conv1_1.weight"].transpose(2, 3)
    assert fingerprint({"a": kernel}) == fingerprint({"a": kernel.contiguous()})
