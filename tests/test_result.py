from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import MissingExtraError, OutputError
from impasto.image.read import read_image
from impasto.objective import Evaluation
from impasto.optimize import Step
from impasto.result import Result
from impasto.spec import StyleSpec


def step_of(value: float, loss: float, size: tuple[int, int] = (6, 8), index: int = 1) -> Step:
    terms = {"content": torch.tensor(loss / 4), "style": torch.tensor(loss * 3 / 4)}
    return Step(torch.full((1, 3, *size), value), Evaluation(torch.tensor(loss), torch.zeros(1), terms), index, 3)


@pytest.fixture
def result() -> Result:
    steps = [
        step_of(0.1, 9.0, (3, 4)),
        step_of(0.2, 5.0, index=1),
        step_of(0.4, 2.0, index=2),
        step_of(0.6, 3.0, index=3),
    ]
    return Result.collect(steps, StyleSpec(), (6, 8))


def test_the_picture_is_the_one_with_the_lowest_loss_at_the_last_size(result: Result) -> None:
    assert torch.equal(result.tensor, torch.full((1, 3, 6, 8), 0.4))
    assert result.loss == 2


def test_a_low_loss_at_a_smaller_size_does_not_count() -> None:
    steps = [step_of(0.1, 0.001, (3, 4)), step_of(0.2, 5.0)]
    assert Result.collect(steps, StyleSpec(), (6, 8)).loss == 5


def test_history_has_one_entry_an_evaluation(result: Result) -> None:
    assert [(entry["size"], entry["step"], entry["of"], entry["loss"]) for entry in result.history] == [
        ((4, 3), 1, 3, 9.0),
        ((8, 6), 1, 3, 5.0),
        ((8, 6), 2, 3, 2.0),
        ((8, 6), 3, 3, 3.0),
    ]
    assert result.history[0]["terms"] == {"content": 2.25, "style": 6.75}


def test_history_can_be_written_as_json(result: Result) -> None:
    assert json.loads(json.dumps(result.history))[-1]["loss"] == 3


def test_stopping_early_gives_a_picture_of_the_full_size() -> None:
    result = Result.collect([step_of(0.1, 9.0, (3, 4))], StyleSpec(), (6, 8))
    torch.testing.assert_close(result.tensor, torch.full((1, 3, 6, 8), 0.1))


def test_values_out_of_range_are_cut_off() -> None:
    result = Result.collect([step_of(1.5, 1.0)], StyleSpec(), (6, 8))
    assert torch.equal(result.tensor, torch.ones(1, 3, 6, 8))


def test_a_step_of_nan_is_not_the_picture() -> None:
    for losses in ([2.0, math.nan], [math.nan, 2.0]):
        steps = [step_of(0.5 if loss == 2 else math.nan, loss) for loss in losses]
        assert torch.equal(Result.collect(steps, StyleSpec(), (6, 8)).tensor, torch.full((1, 3, 6, 8), 0.5))


def test_no_step_is_no_result() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        Result.collect([], StyleSpec(), (6, 8))


def test_an_exception_of_the_steps_is_passed_on() -> None:
    def failing() -> list[Step]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Result.collect((step for _ in [0] for step in failing()), StyleSpec(), (6, 8))


def as_saved(tensor: Tensor) -> Tensor:
    return tensor.mul(255).round().div(255)


def test_saving_returns_the_path_and_keeps_the_picture(result: Result, tmp_path: Path) -> None:
    assert result.save(str(tmp_path / "a.png")) == tmp_path / "a.png"
    assert torch.equal(read_image(tmp_path / "a.png"), as_saved(result.tensor))
    assert torch.equal(read_image(result.image), as_saved(result.tensor))


def test_saving_replaces_only_when_asked(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "a.png")
    with pytest.raises(OutputError, match="exists already"):
        result.save(tmp_path / "a.png")
    result.save(tmp_path / "a.png", overwrite=True)


def test_a_notebook_shows_a_png(result: Result) -> None:
    with Image.open(io.BytesIO(result._repr_png_())) as image:
        assert (image.format, image.size) == ("PNG", (8, 6))


def test_the_plot_has_a_line_for_each_term(result: Result) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    axes = result.plot().axes[0]
    assert {line.get_label() for line in axes.lines} == {"content", "style"}
    assert list(axes.lines[0].get_ydata()) == [2.25, 1.25, 0.5, 0.75]


def test_without_matplotlib_plotting_names_the_extra(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'impasto\[report\]'"):
        result.plot()
