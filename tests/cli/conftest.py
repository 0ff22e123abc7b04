"""A command line in this process, on a network so narrow that a run takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from impasto.cli.app import run
from impasto.networks import NETWORKS, Network

TINY = Network(
    name="vgg19",
    blocks=((4, 4), (8, 8), (8, 8, 8, 8), (8, 8, 8, 8), (8, 8, 8, 8)),
    channel_order="BGR",
    scale=255.0,
    mean=(103.939, 116.779, 123.68),
    deviation=(1.0, 1.0, 1.0),
    source="https://example.org/tiny.h5",
    md5="",
    licence="none",
)


@dataclass(frozen=True)
class Outcome:
    """What a command line left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


TINY_STUDENT = replace(TINY, name="compact", source="", layout="ours", teacher=TINY)


def write_weights(folder: Path, network: Network) -> None:
    """Keep seeded random weights of a narrow network in a folder."""
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.zeros(shape)
        if name.endswith(".bias")
        else torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5
        for name, shape in network.tensor_shapes.items()
    }
    folder.mkdir(parents=True)
    save_file(weights, folder / f"{network.name}.safetensors")


def write_picture(path: Path, size: tuple[int, int], *, horizontal: bool = False) -> Path:
    """Draw a gradient of (width, height) ``size``."""
    width, height = size
    gradient = Image.linear_gradient("L").rotate(90 if horizontal else 0).resize((width, height))
    Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).save(path)
    return path


@pytest.fixture
def no_weights(bare_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with photo.jpg (64 x 48) and painting.png (60 x 60), and an empty cache."""
    folder = tmp_path / "work"
    folder.mkdir()
    write_picture(folder / "photo.jpg", (64, 48))
    write_picture(folder / "painting.png", (60, 60), horizontal=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    for name in ("IMPASTO_WEIGHTS_DIR", "IMPASTO_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(NETWORKS, "vgg19", TINY)
    return folder


@pytest.fixture
def folder(no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with weights in the cache, and a narrow student in the package."""
    write_weights(tmp_path / "cache" / "weights", TINY)
    write_weights(tmp_path / "package", TINY_STUDENT)
    monkeypatch.setattr("impasto.weights.search.BUILT_IN", tmp_path / "package")
    monkeypatch.setitem(NETWORKS, "compact", TINY_STUDENT)
    return no_weights


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process; small and short unless told otherwise."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def stylize(cli: Cli, folder: Path) -> Cli:
    """Stylize photo.jpg, 32 pixels wide with 3 evaluations, one size and one network, in fp32."""

    def call(*arguments: str) -> Outcome:
        short = ("--size", "32", "--num-iterations", "3", "--coarse-iterations", "0", "--precision", "fp32")
        return cli("stylize", "photo.jpg", "painting.png", *short, "--coarse-network", "none", *arguments)

    return call
