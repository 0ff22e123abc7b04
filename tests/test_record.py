from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from torch import Tensor

import impasto
from impasto.errors import InputError
from impasto.image.files import origin_of
from impasto.networks import Network
from impasto.record import Input, Record, read_record
from impasto.steps import Steps

QUICK: dict[str, Any] = {"size": 48, "num_iterations": 3, "coarse_iterations": (), "precision": "fp32"}


@pytest.fixture
def result(installed: Network, photo: Tensor, painting: Tensor) -> impasto.Result:
    return impasto.stylize(photo, painting, **QUICK)


@pytest.fixture
def record(result: impasto.Result) -> Record:
    assert result.record is not None
    return result.record


def test_it_holds_every_option_resolved(record: Record, result: impasto.Result) -> None:
    assert record.style == result.spec
    assert record.style.network == "tiny"  # not auto
    assert (record.size, record.run.device, record.run.precision) == ((48, 36), "cpu", "fp32")
    assert record.run.threads == torch.get_num_threads()
    assert [(level.size, level.iterations) for level in record.levels] == [((48, 36), 3)]
    assert record.environment["torch"] == torch.__version__


def test_the_text_reads_back_as_it_was(record: Record) -> None:
    assert Record.model_validate_json(record.to_json()) == record


def test_how_it_was_fitted_into_memory_comes_back(record: Record) -> None:
    levels = [
        replace(level, tile=64, history=3, history_precision="bf16", vectors="main memory", targets="again", margin=7)
        for level in record.plan()
    ]
    assert Record.model_validate_json(record.planned(levels).to_json()).plan() == levels


def test_a_record_from_before_there_was_a_choice_is_read(record: Record) -> None:
    data = json.loads(record.to_json())
    for level in data["levels"]:
        del level["vectors"], level["targets"], level["margin"]
    assert Record.model_validate(data) == record


def test_the_same_run_gives_the_same_text(installed: Network, photo: Tensor, painting: Tensor) -> None:
    texts = {impasto.stylize(photo, painting, **QUICK).record.to_json() for _ in range(2)}  # type: ignore[union-attr]
    assert len(texts) == 1


def test_neither_time_nor_folder_is_in_it(installed: Network, photo: Tensor, painting: Tensor, tmp_path: Path) -> None:
    impasto.stylize(photo, painting, **QUICK).save(tmp_path / "a.png")
    again = impasto.stylize(tmp_path / "a.png", painting, init=str(tmp_path / "a.png"), **QUICK)
    assert again.record is not None
    text = again.record.to_json()
    assert str(tmp_path) not in text
    assert json.loads(text)["inputs"]["init"]["name"] == "a.png"
    assert again.record.style.init == "a.png"
    assert "20" + "26-" not in text


def test_inputs_are_described_by_name_length_and_sum(
    installed: Network, photo: Tensor, painting: Tensor, tmp_path: Path
) -> None:
    impasto.stylize(photo, painting, **QUICK).save(tmp_path / "photo.png")
    data = (tmp_path / "photo.png").read_bytes()
    inputs = impasto.stylize(tmp_path / "photo.png", painting, **QUICK).record.inputs  # type: ignore[union-attr]
    assert inputs == {"content": Input(name="photo.png", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())}


def test_a_run_that_was_stopped_records_what_was_done(installed: Network, photo: Tensor, painting: Tensor) -> None:
    from impasto.prepare import prepare
    from impasto.spec import RunOptions, StyleSpec

    spec = StyleSpec(size="112", num_iterations=4, coarse_iterations="2")
    transfer = prepare(photo, painting, spec, RunOptions())
    assert [level.iterations for level in transfer.levels] == [8, 4]
    steps = Steps(transfer)
    result = transfer.result(next(steps) for _ in range(9))
    assert result.record is not None
    assert [level.iterations for level in result.record.levels] == [8, 1]
    within_the_coarse_size = transfer.result(step for step, _ in zip(Steps(transfer), range(5), strict=False))
    assert within_the_coarse_size.record is not None
    assert [level.iterations for level in within_the_coarse_size.record.levels] == [5]
    assert within_the_coarse_size.record.size == (112, 84)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "avif", "tiff", "gif"])
def test_every_format_carries_it(extension: str, result: impasto.Result, tmp_path: Path) -> None:
    path = result.save(tmp_path / f"a.{extension}", quality=80)
    found = read_record(path)
    kind = {"jpg": "jpeg"}.get(extension, extension)
    assert found == result.record.written_as(kind, 80)  # type: ignore[union-attr]


def test_without_metadata_nothing_is_carried(result: impasto.Result, tmp_path: Path) -> None:
    path = result.save(tmp_path / "a.png", metadata=False)
    assert b"impasto" not in path.read_bytes()
    with pytest.raises(InputError, match="no settings in it"):
        read_record(path)


def with_settings(path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", text)
    Image.new("L", (1, 1)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"levels": []},
        {"levels": [{"size": [0, 5], "style_size": [5, 5], "iterations": 1, "network": "tiny"}]},
        {"levels": [{"size": [5, 5], "style_size": [5, 5], "iterations": 10**9, "network": "tiny"}]},
        {"inputs": {"content": {"name": "a", "bytes": 1, "sha256": "../../x"}}},
        {"size": [10**9, 10**9]},
        {"levels": [{"size": [1, 1], "style_size": [16, 16], "iterations": 1, "network": "tiny"}]},
        {"run": {"device": "tpu", "precision": "fp32", "threads": 1}},
        {"style": {"strength": 7}},
        {"style": {"of_a_later_version": 7}},
        {"weights": None},
        {"weights": "0" * 64, "style": {"network": ["vgg19"]}},
        {"weights": "0" * 64, "levels": {"network": "vgg19"}},
    ],
)
def test_damaged_settings_are_refused_by_name(change: dict[str, Any], record: Record, tmp_path: Path) -> None:
    content = json.loads(record.to_json()) | change
    path = with_settings(tmp_path / "a.png", json.dumps(content))
    with pytest.raises(InputError, match=rf"cannot be used: ({'|'.join(change)})"):
        read_record(path)


@pytest.mark.parametrize("level", [{"size": [4000, 16]}, {"style_size": [65500, 65500]}, {"margin": 1000}])
def test_levels_that_no_run_has_are_refused(level: dict[str, Any], record: Record, tmp_path: Path) -> None:
    content = json.loads(record.to_json())
    content["levels"][0] |= level
    with pytest.raises(InputError, match=r"is (larger than|as large as)"):
        read_record(with_settings(tmp_path / "a.png", json.dumps(content)))


@given(text=st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    import io

    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", text)
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG", pnginfo=info)
    with pytest.raises(InputError):
        read_record(buffer.getvalue())


def test_an_input_is_found_under_any_name(tmp_path: Path) -> None:
    wanted = tmp_path / "Ölbild.jpg"
    wanted.write_bytes(b"painting")
    origin = origin_of(wanted)
    same_length = tmp_path / "A.jpg"
    same_length.write_bytes(b"PAINTING")
    for name in (
        wanted.name,
        unicodedata.normalize("NFD", wanted.name),
        "of another name.jpg",
        "C:\\Users\\me\\Ölbild.jpg",
        "/home/me/Ölbild.jpg",
        "..",
        "",
    ):
        assert Input(name=name, bytes=origin.bytes, sha256=origin.sha256).find([tmp_path]) == wanted, name


def test_an_input_is_never_looked_for_outside_the_folders(tmp_path: Path) -> None:
    outside, inside = tmp_path / "secret.jpg", tmp_path / "pictures"
    outside.write_bytes(b"painting")
    inside.mkdir()
    origin = origin_of(outside)
    for name in ("../secret.jpg", str(outside), "..\\secret.jpg"):
        assert Input(name=name, bytes=origin.bytes, sha256=origin.sha256).find([inside, tmp_path / "none"]) is None


def test_in_a_folder_that_may_not_be_read_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    wanted = Input(name="painting.jpg", bytes=8, sha256=hashlib.sha256(b"painting").hexdigest())
    for function in ("iterdir", "is_dir", "is_file"):
        monkeypatch.setattr(Path, function, refuse)
        assert wanted.find([tmp_path]) is None


def test_differences_are_named(record: Record) -> None:
    assert record.differences(record) == []
    other = record.model_copy(
        update={"environment": record.environment | {"torch": "1.0"}, "weights": {"tiny": "0" * 64}}
    )
    assert record.differences(other) == [
        f"torch was 1.0 and is {torch.__version__}",
        f"weights of tiny was 000000000000 and is {record.weights['tiny'][:12]}",
    ]
