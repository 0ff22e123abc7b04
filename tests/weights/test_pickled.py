"""Torch files: both of their forms, every way to name the tensors, and nothing that runs."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.errors import InputError
from impasto.networks import NETWORKS, Network
from impasto.weights import import_weights, load_weights

from .conftest import assert_equal, files_under, in_sequence, published

Weights = dict[str, Tensor]
FORMS = {"zip": True, "bare": False}


def save(content: Any, path: Path, form: str = "zip") -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=FORMS[form])
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_torch_file_is_recognized_and_only_its_convolutions_are_kept(
    form: str, narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    network, _ = import_weights(save(in_sequence(tiny_weights), tmp_path / "any.pth", form))
    assert network is narrow
    assert_equal(load_weights(narrow), tiny_weights)


WRAPPINGS: dict[str, Callable[[Weights], Any]] = {
    "features alone": lambda weights: in_sequence(weights, prefix=""),
    "data parallel": lambda weights: in_sequence(weights, prefix="module.features."),
    "a checkpoint": lambda weights: {"epoch": 3, "state_dict": in_sequence(weights)},
    "parameters": lambda weights: {name: nn.Parameter(tensor) for name, tensor in in_sequence(weights).items()},
    "other numbers beside": lambda weights: in_sequence(weights) | {"0.weight": torch.ones(3), "step": 4},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_names_may_be_wrapped(wrapping: str, narrow: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    import_weights(save(WRAPPINGS[wrapping](tiny_weights), tmp_path / "any.pth"))
    assert_equal(load_weights(narrow), tiny_weights)


def test_the_original_in_torchs_layout_is_taken_when_it_is_named(
    narrow: Network, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    path = save(in_sequence(tiny_weights), tmp_path / "any.pth")
    assert import_weights(path, tiny)[0] is tiny
    assert_equal(load_weights(tiny), tiny_weights)
    assert import_weights(path)[0] is narrow


def test_the_published_file_of_another_network_is_refused(
    narrow: Network, tiny: Network, tiny_weights: Weights, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(in_sequence(tiny_weights), tmp_path / "any.pth")
    monkeypatch.setitem(NETWORKS, narrow.name, published(narrow, path))
    with pytest.raises(InputError, match=r"any\.pth' has the weights of narrow, not of tiny: use --network narrow"):
        import_weights(path, tiny)
    with pytest.raises(InputError, match="not of tiny"):
        load_weights(tiny, file=path)
    assert not cache.exists()
    for wanted in (None, narrow):
        assert import_weights(path, wanted)[0].name == "narrow"


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


MORE_THAN_WEIGHTS = (
    r"^'[^']*trap\.pth' holds more than weights( \([\w.]+\))?, and code in such a file is never run: download the"
    r" published file, or save only the weights with torch\.save\(model\.state_dict\(\), 'weights\.pth'\)\.$"
)


def as_bare_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def as_old_torch_file(content: Any, path: Path) -> None:
    save(content, path, "bare")


def as_torch_file(content: Any, path: Path) -> None:
    save(content, path, "zip")


@pytest.mark.filterwarnings("error")  # of torch, which would be seen beside the message
@pytest.mark.parametrize("write", [as_bare_pickle, as_old_torch_file, as_torch_file])
def test_nothing_in_a_file_is_run(
    write: Callable[[Any, Path], None], narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    target, path = tmp_path / "made by the trap", tmp_path / "trap.pth"
    content = in_sequence(tiny_weights) | {"trap": Trap(target)}
    write(content, path)
    with pytest.raises(InputError, match=MORE_THAN_WEIGHTS):
        import_weights(path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Trap(target)))
    assert target.exists()  # the trap is one


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_module_is_refused_with_what_to_do(form: str, narrow: Network, tmp_path: Path) -> None:
    path = save(nn.Sequential(nn.Conv2d(3, 4, 3)), tmp_path / "module.pth", form)
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.container\.Sequential.*model\.state_dict\(\)"):
        import_weights(path)


def test_a_torchscript_program_is_refused_with_what_to_do(narrow: Network, tmp_path: Path) -> None:
    path = tmp_path / "program.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("constants.pkl", "version", "data.pkl"):
            archive.writestr(f"archive/{name}", "3\n")
    with pytest.raises(InputError, match=r"a TorchScript program.*model\.state_dict\(\)"):
        import_weights(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_file_that_was_cut_off_is_refused(
    form: str, share: float, narrow: Network, tiny_weights: Weights, cache: Path, tmp_path: Path
) -> None:
    path = save(in_sequence(tiny_weights), tmp_path / "cut.pth", form)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"cut\.pth.*download it again") as refusal:
        import_weights(path)
    reason = str(refusal.value).partition("torch file (")[2].partition("): download")[0]
    assert reason
    assert len(reason) <= 100
    assert files_under(cache) == []


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(
    narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    stored = save(in_sequence(tiny_weights) | {"bomb": torch.zeros(1_000_000)}, tmp_path / "stored.pth")
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match="unpack to more than its size"):
        import_weights(path)


def test_a_file_larger_than_any_network_is_refused(narrow: Network, tmp_path: Path) -> None:
    path = tmp_path / "large.pth"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(3_000_000_000)  # a hole, which takes no room
    with pytest.raises(InputError, match=r"has 3\.0 GB, more than"):
        import_weights(path)


def integers(weights: Weights) -> Any:
    return {name: tensor.int() for name, tensor in in_sequence(weights).items()}


def one_layer_less(weights: Weights) -> Any:
    return {name: tensor for name, tensor in in_sequence(weights).items() if not name.startswith("features.34")}


def with_batch_norm(weights: Weights) -> Any:
    return in_sequence(weights) | {"features.1.weight": torch.ones(4), "features.1.running_mean": torch.ones(4)}


def expanded(weights: Weights) -> Any:
    return in_sequence(weights) | {"features.0.weight": torch.zeros(1).expand(10**9, 10**9)}


def a_list(weights: Weights) -> Any:
    return list(weights.values())


@pytest.mark.parametrize("spoil", [integers, one_layer_less, with_batch_norm, expanded, a_list])
def test_other_tensors_are_not_taken_for_a_network(
    spoil: Callable[[Weights], Any], narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"(?s)other\.pth' holds none of the networks.*impasto weights get"):
        import_weights(save(spoil(tiny_weights), tmp_path / "other.pth"))


def test_values_that_are_not_finite_are_refused(narrow: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    weights = in_sequence(tiny_weights)
    weights["features.34.bias"] = torch.full((8,), torch.inf)
    with pytest.raises(InputError, match="not finite"):
        import_weights(save(weights, tmp_path / "any.pth"))


def test_every_network_here_fits_below_the_largest_file() -> None:
    from impasto.weights.pickled import LARGEST_FILE

    assert all(2 * network.size < LARGEST_FILE for network in NETWORKS.values())
