"""What was seen in a painting is remembered, and only for exactly the same question."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import styles
from impasto.moments import Moments, moments
from impasto.prepare import prepare
from impasto.spec import RunOptions, StyleSpec
from impasto.steps import Steps
from impasto.styles import KeptStyles
from impasto.weights.cache import styles_folder

HOW = {"network": "tiny", "layers": ["relu1_1"]}


class Looking:
    """Counts how often a painting is looked at."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Moments]:
        self.times += 1
        return {"relu1_1": moments(torch.full((1, 3, 4, 5), float(self.times)))}


@pytest.fixture
def painting(picture: Callable[..., Tensor]) -> Tensor:
    return picture(130, 140, seed=1).float()


def test_the_second_time_nobody_looks(painting: Tensor, tmp_path: Path) -> None:
    look = Looking()
    first, second = (KeptStyles(tmp_path / "new").moments(painting, None, HOW, look) for _ in range(2))
    assert look.times == 1
    assert second["relu1_1"].count == first["relu1_1"].count == 20
    assert torch.equal(second["relu1_1"].sum, first["relu1_1"].sum)
    assert torch.equal(second["relu1_1"].second, first["relu1_1"].second)


def test_any_other_question_is_looked_at_anew(
    painting: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, kept = Looking(), KeptStyles(tmp_path)
    other = painting.clone()
    other[0, 0, 0, 0] += 1e-6
    alpha = torch.ones(1, 1, 130, 140)
    questions: list[tuple[Tensor, Tensor | None, dict[str, object]]] = [
        (painting, None, {**HOW}),
        (other, None, {**HOW}),
        (painting.transpose(2, 3), None, {**HOW}),
        (painting.double(), None, {**HOW}),
        (painting, alpha, {**HOW}),
        (painting, alpha / 2, {**HOW}),
        (painting, None, {**HOW, "layers": ["relu2_1"]}),
        (painting, None, {**HOW, "tiling": 512}),
    ]
    for number, question in enumerate(questions, start=1):
        kept.moments(*question, look)
        assert look.times == number
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    kept.moments(painting, None, HOW, look)
    assert look.times == len(questions) + 1


def test_small_pictures_are_not_worth_keeping(picture: Callable[..., Tensor], tmp_path: Path) -> None:
    KeptStyles(tmp_path).moments(picture(64, 64), None, HOW, Looking())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_replaced(painting: Tensor, tmp_path: Path) -> None:
    look, kept = Looking(), KeptStyles(tmp_path)
    kept.moments(painting, None, HOW, look)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-10], b"x" * 100, whole[:20] + b"?" + whole[21:]):
        path.write_bytes(damaged)
        kept.moments(painting, None, HOW, look)
    assert look.times == 5
    kept.moments(painting, None, HOW, look)
    assert look.times == 5


def test_those_that_were_not_used_for_long_make_room(
    painting: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, kept = Looking(), KeptStyles(tmp_path)
    for number in range(4):
        kept.moments(painting, None, {"number": number}, look)
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
    size = next(tmp_path.iterdir()).stat().st_size
    kept.moments(painting, None, {"number": 0}, look)  # the oldest one is used again
    monkeypatch.setattr(styles, "LIMIT", 3 * size)
    kept.moments(painting, None, {"number": 4}, look)
    assert len(list(tmp_path.iterdir())) == 3
    kept.moments(painting, None, {"number": 0}, look)
    assert look.times == 5


def test_where_nothing_can_be_written_it_looks_each_time(painting: Tensor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    look = Looking()
    for _ in range(2):
        KeptStyles(tmp_path / "file").moments(painting, None, HOW, look)
    assert look.times == 2


def test_a_second_run_gives_the_same_bits(
    installed: object, photo: Path, painting: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = StyleSpec(size="160", octaves=1, num_iterations=2, coarse_iterations=(), coarse_network="none")
    ends = []
    for _ in range(2):
        transfer = prepare(photo, painting.double().float(), spec, RunOptions(device="cpu", precision="fp32"))
        *_, last = Steps(transfer)
        ends.append(last.pixels)
    assert torch.equal(*ends)
    assert len(list(styles_folder().iterdir())) == 1
    monkeypatch.setattr("impasto.targets._moments", lambda *_: pytest.fail("it looked again"))
    *_, last = Steps(prepare(photo, painting, spec, RunOptions(device="cpu", precision="fp32")))
    assert torch.equal(last.pixels, ends[0])
