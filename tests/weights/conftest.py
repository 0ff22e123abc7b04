"""A narrow network as each source publishes it, and a machine of its own: no cache, no proxy, nobody else's files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.networks import NETWORKS, VGG19_TORCHVISION, Network

from .server import Server

Weights = dict[str, Tensor]

KERAS_NAMES = {
    "keras 1": ("{group}_W_1:0", "{group}_b_1:0"),
    "keras 2": ("{group}/kernel:0", "{group}/bias:0"),
}

NARROW = replace(
    VGG19_TORCHVISION,
    name="narrow",
    blocks=((4, 4), (6, 6), (8,) * 4, (8,) * 4, (8,) * 4),
    source="https://example.org/narrow.pth",
    sha256="0" * 64,
    size=0,
)


@pytest.fixture(autouse=True)
def bare(bare_machine: None) -> None:
    """All tests here are on a machine of their own."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Network) -> Path:
    """An empty cache, and the tiny network, which is published as Keras does it, among those that are known."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    monkeypatch.setitem(NETWORKS, tiny.name, tiny)
    return folder


@pytest.fixture
def narrow(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network of the same shapes that is published as torchvision does it, among those that are known."""
    monkeypatch.setitem(NETWORKS, NARROW.name, NARROW)
    return NARROW


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def publish(
    server: Server, cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Network]:
    """``publish()``: the server has tiny's Keras file, and the network that is returned knows it; waits are short."""
    monkeypatch.setattr("impasto.weights.download.WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("impasto.weights.part.CHUNK", 4000)

    def put() -> Network:
        server.data = write_keras(tmp_path / "tiny.h5", tiny_weights).read_bytes()
        (tmp_path / "tiny.h5").unlink()
        network = replace(
            tiny,
            source=f"{server.address}/tiny.h5",
            md5=hashlib.md5(server.data).hexdigest(),
            size=len(server.data),
        )
        monkeypatch.setitem(NETWORKS, tiny.name, network)
        return network

    return put


def write_keras(path: Path, weights: Weights, layout: str = "keras 1", nested: bool = False) -> Path:
    """Write our tensors as Keras does: one group a convolution, kernels height x width x inputs x outputs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel_name, bias_name = KERAS_NAMES[layout]
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


def in_sequence(weights: Weights, prefix: str = "features.") -> Weights:
    """Our tensors under the names that torchvision gives them, with a classifier."""
    places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    convs = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    named = {
        f"{prefix}{place}.{kind}": weights[f"{conv}.{kind}"]
        for place, conv in zip(places, convs, strict=True)
        for kind in ("weight", "bias")
    }
    return named | {"classifier.0.weight": torch.ones(5, 7), "classifier.0.bias": torch.ones(5)}


def published(network: Network, path: Path) -> Network:
    """``network`` with the size and checksum of a file that is as good as published."""
    data = path.read_bytes()
    if network.sha256:
        return replace(network, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    return replace(network, size=len(data), md5=hashlib.md5(data).hexdigest())


def files_under(folder: Path) -> list[str]:
    """What is in a folder, but for locks."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def assert_equal(one: Weights, other: Weights) -> None:
    """Same names, same values."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name
