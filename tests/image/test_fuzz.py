"""A short run of ``scripts/fuzz_pictures.py``; the long one has 2,000 mutants, and any number of seeds."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .sources import grain, png

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_pictures.py"
DEMO = Path(__file__).parents[2] / "src" / "impasto" / "demo"


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("fuzz_pictures")


def test_damaged_pictures_are_read_or_refused(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--count", "60", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.endswith("60 passed, 0 failed\n"), done.stdout + done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    read, refused = map(int, re.findall(r"(\d+) (?:of the mutants|refused)", done.stdout))
    assert min(read, refused) > 10
    assert list(tmp_path.iterdir()) == []


def test_a_number_always_means_the_same_mutant(fuzz: ModuleType) -> None:
    seeds = fuzz.make_seeds(DEMO)
    one, other = ([fuzz.mutant(seeds, seed, number) for number in range(50)] for seed in (0, 1))
    assert one == [fuzz.mutant(seeds, 0, number) for number in range(50)]
    assert one != other
    intact = {seed.data for seed in seeds}
    assert sum(data in intact for _, data in one) < 3


def test_seeds_are_in_order(fuzz: ModuleType, tmp_path: Path) -> None:
    for seed in fuzz.make_seeds(DEMO):
        (tmp_path / "seed").write_bytes(seed.data)
        assert fuzz.outcome_of(tmp_path / "seed", "png") == ("refused" if seed.name == "tiff F" else "read"), seed.name


def test_what_is_neither_read_nor_refused_is_told(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(png(grain()))
    assert fuzz.outcome_of(tmp_path / "a.png", "png") == "read"
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", lambda self: 1 / 0)
    assert fuzz.outcome_of(tmp_path / "a.png", "png") == "refused"  # a decoder may raise anything
    monkeypatch.undo()
    monkeypatch.setattr("impasto.image.numbers.upright", "no function")  # called in a line of impasto's own
    assert "TypeError" in fuzz.outcome_of(tmp_path / "a.png", "png")
    monkeypatch.setattr("impasto.image.read.read_picture", lambda path: 1 / 0)
    assert "ZeroDivisionError" in fuzz.outcome_of(tmp_path / "a.png", "png")


def test_a_process_that_hangs_crashes_or_takes_too_much_is_a_failure(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = fuzz.Worker(tmp_path)
    assert worker.visit(png(grain()), "png")[0] == "read"
    monkeypatch.setattr(fuzz, "BYTES", -1)
    assert "MB" in worker.visit(png(grain()), "png")[0]
    monkeypatch.setattr(fuzz, "SECONDS", 0.0)
    assert "took more than 0 s" in worker.visit(png(grain()), "png")[0]
    monkeypatch.setattr(fuzz, "SECONDS", 5.0)
    worker.start()
    worker.process.kill()
    assert "crashed" in worker.visit(png(grain()), "png")[0]
    assert list(tmp_path.iterdir()) == []
