from __future__ import annotations

import io
import json
import sys

import pytest

from impasto.cli.outlook import Plan, spell
from impasto.cli.progress import (
    BarProgress,
    DetachableProgress,
    JsonProgress,
    LineProgress,
    SilentProgress,
    choose_progress,
)
from impasto.estimate import Cost
from impasto.objective import bounded
from impasto.pyramid import Level

LEVELS = [Level((24, 32), (32, 32), 4), Level((48, 64), (64, 64), 2)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeStep:
    network = "vgg19"
    tile = 0

    def __init__(self, size: tuple[int, int], index: int, of: int, loss: float = 1.5, level: int = 0) -> None:
        self.size, self.index, self.of, self.loss, self.level = size, index, of, loss, level
        self.terms = {"style relu1_1": loss}


def test_json_is_one_object_a_line(stylize):
    outcome = stylize("--progress", "json", "--size", "120", "--coarse-iterations", "2", "-o", "out.png", "-v")
    assert (outcome.code, outcome.out) == (0, "out.png\n")
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    start = next(line for line in lines if "estimated_seconds" in line)
    steps = [line for line in lines if "step" in line]
    assert (start["size"], start["sizes"], start["evaluations"]) == ([120, 90], [[60, 45], [120, 90]], 9)
    assert [(line["size"], line["step"], line["of"]) for line in steps] == [
        *(([60, 45], number, 6) for number in range(1, 7)),
        *(([120, 90], number, 3) for number in range(1, 4)),
    ]
    for line in steps:
        assert line["loss"] == pytest.approx(sum(line["terms"].values()), rel=1e-4)
        assert {"content relu4_2", "style relu1_1", "smoothness"} <= set(line["terms"])
        assert line["seconds_left"] >= 0
    assert steps[-1]["seconds_left"] == 0
    assert lines[-1] == {"saved": "out.png", "loss": pytest.approx(min(line["loss"] for line in steps[-3:]))}


def test_a_loss_that_is_no_number_is_null(capsys):
    JsonProgress().show(FakeStep((24, 32), 1, 4, float("nan")), Plan(LEVELS, Cost({"vgg19": 0.1}, {"vgg19": 0})))  # type: ignore[arg-type]
    line = json.loads(capsys.readouterr().err, parse_constant=lambda name: pytest.fail(name))
    assert (line["loss"], line["terms"]) == (None, {"style relu1_1": None})


def test_lines_are_few_where_nobody_looks_at_a_terminal(stylize):
    for words in ((), ("--progress", "none")):
        assert stylize(*words).err.count("\n") == 1


def test_a_bar_on_a_terminal(stylize, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Terminal())
    assert stylize("-o", "out.png").code == 0
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "3/3" in text
    assert "32 x 24" in text
    assert "\x1b[" in text


def test_no_color_is_honored(stylize, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stderr", Terminal())
    assert stylize("-o", "out.png").code == 0
    assert "\x1b[3" not in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[9" not in sys.stderr.getvalue()  # type: ignore[attr-defined]


def chosen(name: str) -> type:
    progress = choose_progress(name, quiet=False)
    assert isinstance(progress, DetachableProgress)
    return type(progress._progress)


def test_the_choice(monkeypatch):
    assert isinstance(choose_progress("json", quiet=True), SilentProgress)
    assert chosen("json") is JsonProgress
    assert chosen("auto") is LineProgress
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert chosen("auto") is BarProgress
    monkeypatch.setenv("TERM", "dumb")
    assert chosen("auto") is LineProgress


class Broken:
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    flush = write

    def isatty(self) -> bool:
        return False


def test_a_run_goes_on_when_the_reader_of_its_progress_goes_away(monkeypatch):
    progress = choose_progress("json", quiet=False)
    monkeypatch.setattr("sys.stderr", Broken())
    progress.say("nobody hears this")
    assert isinstance(progress._progress, SilentProgress)


def test_time_left_follows_the_pixels_and_the_clock(monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    plan = Plan(LEVELS, Cost({"vgg19": 0.0}, {"vgg19": 1e-3}), began=now)
    at_half = FakeStep((24, 32), 4, 4)
    coarse = plan.cost.of_level(LEVELS[0])
    now += coarse  # as planned
    assert plan.seconds_left(at_half) == pytest.approx(plan.cost.of_level(LEVELS[1]))  # type: ignore[arg-type]
    now += 9 * coarse  # far slower than planned
    assert plan.seconds_left(at_half) > 3 * plan.cost.of_level(LEVELS[1])  # type: ignore[arg-type]
    assert plan.seconds_left(FakeStep((48, 64), 2, 2, level=1)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (41, "41 s"), (94, "94 s"), (100, "2 min"), (3599, "1 h"), (4900, "1 h 22 min"), (4e5, "5 days")],
)
def test_times_are_spelled_as_people_do(seconds, text):
    assert spell(seconds) == text


def test_errors_are_objects_as_well_where_progress_is(stylize):
    outcome = stylize("--progress", "json", "-o", "nowhere/out.png")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert json.loads(line)["code"] == 2
    assert "There is no folder 'nowhere'" in json.loads(line)["error"]


@pytest.mark.parametrize("progress", ["json", "none"])
def test_what_the_library_warns_of_is_said_as_everything_else(progress, stylize, monkeypatch):
    """Memory runs out once, in the first evaluation."""
    once = iter([MemoryError()])

    def bounded_by_memory(evaluate):
        def evaluate_once_less(pixels):
            for error in once:
                raise error
            return bounded(evaluate)(pixels)

        return evaluate_once_less

    monkeypatch.setattr("impasto.memory.SMALLEST_TILE", 16)
    monkeypatch.setattr("impasto.steps.bounded", bounded_by_memory)
    outcome = stylize("-o", "out.png", "--progress", progress)
    assert outcome.code == 0, outcome.err
    said = (
        [json.loads(line).get("note", "") for line in outcome.err.splitlines()] if progress == "json" else [outcome.err]
    )
    assert sum("not enough memory; going on in tiles of 16 pixels" in text for text in said) == 1
