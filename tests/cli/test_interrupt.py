from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from impasto.cli.interrupt import Interrupted, interruptible
from impasto.cli.progress import LineProgress

DRIVER = """
import sys
from importlib import import_module
import impasto.networks
from impasto.cli.app import main

blocks, source = ((4, 4), (8, 8), (8,) * 4, (8,) * 4, (8,) * 4), "https://example.org/tiny.h5"
tiny = impasto.networks.Network("vgg19", blocks, "BGR", 255.0, (0.0,) * 3, (1.0,) * 3, source, "", "none")
impasto.networks.NETWORKS["vgg19"] = import_module("impasto.prepare").VGG19 = tiny
main()
"""


@pytest.fixture
def signals_at(monkeypatch: pytest.MonkeyPatch):
    """Let signals arrive while a step is shown: ``signals_at(3, SIGINT)``."""

    def arrange(number: int, *signals: signal.Signals) -> None:
        shown = 0

        def show(self: LineProgress, step: object, plan: object) -> None:
            nonlocal shown
            shown += 1
            for number_of_signal in signals if shown == number else ():
                signal.raise_signal(number_of_signal)

        monkeypatch.setattr(LineProgress, "show", show)

    return arrange


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_picture_so_far_is_saved(stylize, signals_at, number):
    before = signal.getsignal(number)
    signals_at(2, number)
    outcome = stylize("-o", "out.png", "--size", "120", "--coarse-iterations", "1")
    assert outcome.code == 130
    assert "Stopped after 2 of 6 evaluations; the picture so far is 'out.png'." in outcome.err
    assert outcome.out == ""
    with Image.open("out.png") as picture:
        assert picture.size == (120, 90)
        assert picture.convert("L").getextrema()[0] < picture.convert("L").getextrema()[1]
    assert signal.getsignal(number) is before


def test_a_signal_while_torch_is_loading_is_received_afterwards(monkeypatch):
    """Raised inside its C++, it would abort the process."""
    passed = []

    def load():
        with interruptible(print), monkeypatch.context() as patch:
            patch.setattr("torch.__spec__._initializing", True)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # of two, one is left
            time.sleep(0.15)  # it comes again, too early once more
            passed.append("torch")
            patch.undo()
            time.sleep(30)
            passed.append("all")

    with pytest.raises(Interrupted):
        load()
    assert passed == ["torch"]
    time.sleep(0.25)  # nothing more comes


def test_the_second_signal_ends_at_once(stylize, signals_at, folder):
    signals_at(2, signal.SIGINT, signal.SIGINT)
    outcome = stylize("-o", "out.png")
    assert outcome.code == 130
    assert outcome.err.endswith("impasto: interrupted; the picture was not saved.\n")
    assert not (folder / "out.png").exists()


def test_a_signal_after_the_picture_is_saved_waits_until_the_checkpoint_knows_of_it(
    stylize, cli, signals_at, monkeypatch, folder
):
    from impasto.cli.keeper import Keeper

    write = Keeper.write

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return write(*arguments)

    monkeypatch.setattr(Keeper, "write", interrupted)
    signals_at(2, signal.SIGINT)
    outcome = stylize("-o", "out.png", "--checkpoint", "run.checkpoint", "--num-iterations", "9")
    assert (outcome.code, "the picture so far is 'out.png'" in outcome.err) == (130, True)
    monkeypatch.setattr(Keeper, "write", write)
    assert cli("resume", str(folder / "run.checkpoint")).code == 0
    assert sorted(path.name for path in folder.glob("*run*")) == []


def test_a_signal_while_the_animation_is_made_says_where_the_picture_is(stylize, signals_at, monkeypatch, folder):
    monkeypatch.setattr("impasto.cli.running.save_animation", lambda *_: signal.raise_signal(signal.SIGINT))
    signals_at(2, signal.SIGINT)
    outcome = stylize("-o", "out.png", "--animate", "growing.gif", "--num-iterations", "9")
    assert (outcome.code, outcome.err.endswith("impasto: interrupted; the picture so far is 'out.png'.\n")) == (
        130,
        True,
    )


def test_a_signal_before_the_first_evaluation_saves_nothing(stylize, monkeypatch, folder):
    monkeypatch.setattr("impasto.estimate.measure_cost", lambda transfer: signal.raise_signal(signal.SIGINT))
    outcome = stylize("-o", "out.png")
    assert outcome.code == 130
    assert outcome.err == "impasto: interrupted; the picture was not saved.\n"
    assert not (folder / "out.png").exists()


def test_a_signal_after_the_last_evaluation_changes_nothing(stylize, signals_at):
    signals_at(3, signal.SIGINT)
    outcome = stylize("-o", "out.png")
    assert (outcome.code, outcome.out) == (0, "out.png\n")


def test_ctrl_c_in_a_process_of_its_own(folder: Path):
    words = ["stylize", "photo.jpg", "painting.png", "--size", "48", "--coarse-network", "none"]
    words += ["--num-iterations", "100000", "--progress", "json"]
    command = [sys.executable, "-c", DRIVER, *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        lines = [json.loads(run.stderr.readline()) for _ in range(4)]
        run.send_signal(signal.SIGINT)
        lines += [json.loads(line) for line in run.stderr]
        assert run.stdout.read() == ""
        assert run.wait(timeout=30) == 130
    assert lines[0]["estimated_seconds"] > 0
    assert lines[1]["step"] == 1
    assert "the picture so far is 'photo_painting.png'" in lines[-1]["note"]
    with Image.open("photo_painting.png") as picture:
        picture.load()
        assert picture.size == (48, 36)
    again = subprocess.run(
        [*command[:-3], "2", "--progress", "json"], capture_output=True, text=True, env={**os.environ}, check=False
    )
    assert (again.returncode, again.stdout) == (0, "photo_painting_2.png\n")
