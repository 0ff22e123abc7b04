"""Files of Keras, torch and safetensors become the one file that is kept; what is unsound is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import InputError, OutputError
from impasto.features import Extractor
from impasto.networks import NETWORKS, Network
from impasto.weights import (
    find_weights,
    fingerprint,
    import_weights,
    load_weights,
    metadata_of,
    recognize_file,
)

from .conftest import KERAS_NAMES, assert_equal, files_under, in_sequence, published, write_keras

Weights = dict[str, Tensor]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("layout", KERAS_NAMES)
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


def test_origin_and_fingerprint_are_recorded(cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    from safetensors import safe_open

    source = write_keras(tmp_path / "any.h5", tiny_weights)
    _, target = import_weights(source)
    with safe_open(target, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (metadata["network"], metadata["licence"]) == (tiny.name, tiny.licence)
    assert metadata["fingerprint"] == fingerprint(tiny_weights)
    assert metadata == metadata_of(target)


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


def test_whether_it_was_the_published_file_is_recorded_and_stays_known(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_keras(tmp_path / "any.h5", tiny_weights)
    assert metadata_of(import_weights(source)[1])["published"] == "no"
    monkeypatch.setitem(NETWORKS, tiny.name, published(tiny, source))
    _, kept = import_weights(source)
    assert metadata_of(kept)["published"] == "yes"
    copy = shutil.copy(kept, tmp_path / "copy.safetensors")
    kept.unlink()
    import_weights(copy)
    assert metadata_of(kept)["published"] == "yes"
    assert metadata_of(kept)["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_copy_that_changed_is_refused(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    _, kept = import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(data)
    with pytest.raises(InputError, match="have changed since they were kept"):
        import_weights(copy)


def test_what_the_metadata_says_decides(cache: Path, narrow: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    save_file(tiny_weights, tmp_path / "any.safetensors", {"network": "narrow"})
    assert import_weights(tmp_path / "any.safetensors")[0] is narrow
    with pytest.raises(InputError, match="has the weights of narrow, not of tiny: use --network narrow"):
        import_weights(tmp_path / "any.safetensors", NETWORKS["tiny"])


def test_a_safetensors_file_is_not_taken_for_a_pickle_whatever_its_first_byte(
    cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    starts = set()
    for length in range(0, 256, 8):  # the header is padded to multiples of 8, and its length comes first
        path = tmp_path / f"{length}.bin"
        save_file(tiny_weights, path, {"note": "x" * length})
        starts.add(path.read_bytes()[0])
        assert recognize_file(path) is tiny
    assert 0x80 in starts


def test_what_may_be_either_network_has_to_be_named(
    cache: Path, narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "any.safetensors"
    save_file(tiny_weights, path)
    with pytest.raises(InputError, match="the shapes of tiny and narrow, whose values differ: say which"):
        recognize_file(path)
    assert recognize_file(path, narrow) is narrow
    assert import_weights(path, NETWORKS["tiny"])[0].name == "tiny"


def test_names_of_a_sequential_in_safetensors_are_those_of_torchvision(
    cache: Path, narrow: Network, tiny_weights: Weights, tmp_path: Path
) -> None:
    save_file(in_sequence(tiny_weights), tmp_path / "any.safetensors")
    assert import_weights(tmp_path / "any.safetensors")[0] is narrow
    assert_equal(load_weights(narrow), tiny_weights)


def test_half_precision_becomes_single(cache: Path, tiny: Network, tiny_weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in tiny_weights.items()}, path)
    _, kept = import_weights(path)
    rounded = {name: tensor.half().float() for name, tensor in tiny_weights.items()}
    assert_equal(load_file(kept), rounded)
    assert_equal(load_weights(tiny, file=path), rounded)


def test_who_reads_the_weights_while_others_take_their_place_reads_the_old_ones(
    cache: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    _, kept = import_weights(write_keras(tmp_path / "a.h5", tiny_weights))
    data = kept.read_bytes()
    with kept.open("rb") as file:
        import_weights(write_keras(tmp_path / "b.h5", {name: 2 * tensor for name, tensor in tiny_weights.items()}))
        assert file.read() == data != kept.read_bytes()


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

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OutputError, match="No space left"):
        import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    assert files_under(cache) == []


def test_kept_weights_can_be_read_by_whom_any_new_file_can(cache: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    _, target = import_weights(write_keras(tmp_path / "any.h5", tiny_weights))
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
