"""The comparison of speeds with the yardstick; what it measures is measured on real pictures, not here."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from benchmarks.speed import WAYS, files_of, matmul_rate, seconds_of, steps_of, table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "speed.jsonl"


def test_a_pair_is_named_by_its_pictures(tmp_path: Path) -> None:
    files = files_of(tmp_path, "lion:great_wave")
    assert files == (tmp_path / "content" / "lion.jpg", tmp_path / "style" / "great_wave.jpg")


def test_rates_and_seconds_are_of_the_work_that_was_done() -> None:
    assert matmul_rate(torch.float32, size=64, rounds=2) > 0
    assert 0.01 <= seconds_of(lambda: time.sleep(0.01)) < 1


def test_what_was_kept_can_be_shown() -> None:
    for line in RESULTS.read_text().splitlines():
        found = json.loads(line)
        rows = table(found).splitlines()
        assert len(rows) == 2 + len(WAYS)
        assert all(row.startswith(f"| {way} |") for row, way in zip(rows[2:], WAYS, strict=True))
        assert found["ways"]["baseline"]["times faster"] == 1


@pytest.mark.weights
@pytest.mark.parametrize("way", WAYS)
def test_each_way_takes_steps_on_its_own(way: str, vgg19: object, real_images: Path) -> None:
    steps, pixels = steps_of(way, files_of(real_images, "lion:great_wave"), 64)
    losses = [next(steps).loss for _ in range(3)]  # type: ignore[attr-defined]
    assert pixels == 64 * 48
    assert min(losses) < losses[0]
