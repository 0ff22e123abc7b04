"""What a run would take, without running it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from impasto.estimate import Cost

SHORT = ("--size", "256", "--num-iterations", "4", "--coarse-iterations", "2", "--precision", "fp32")


def test_a_line_for_each_part(cli, folder):
    outcome = cli("plan", "photo.jpg", "painting.png", *SHORT)
    assert outcome.code == 0, outcome.err
    first, *parts = outcome.out.splitlines()
    assert re.fullmatch(r"256 x 192 pixels, about \d+ \w+, about \d\.\d\d GiB of memory", first)
    assert [line.split()[:4] for line in parts] == [
        ["128", "x", "96", "vgg19"],
        ["256", "x", "192", "compact"],
        ["256", "x", "192", "vgg19"],
    ]
    assert all("at once" in line and "history 20 in fp32" in line for line in parts)
    assert sorted(path.name for path in Path().iterdir()) == ["painting.png", "photo.jpg"]


def test_with_less_memory_the_history_is_smaller(cli, folder):
    size = ("--size", "2000", "--coarse-iterations", "0", "--coarse-network", "none", "--num-iterations", "40")
    plans = {
        memory: cli("plan", "photo.jpg", "painting.png", *size, "--memory", memory).out for memory in ("64G", "1300M")
    }
    assert "history 20 in fp32" in plans["64G"]
    assert "in bf16" in plans["1300M"]


@pytest.mark.parametrize("memory", ["0", "-1G", "much", "4X", "1e999G"])
def test_memory_that_is_no_amount_is_refused(memory, cli, folder):
    outcome = cli("plan", "photo.jpg", "painting.png", "--memory", memory)
    assert (outcome.code, f"--memory is '{memory}'" in outcome.err) == (2, True)


def test_what_cannot_be_done_is_refused_with_a_size_that_can(cli, folder):
    outcome = cli("plan", "photo.jpg", "painting.png", "--size", "8000", "--memory", "1G")
    assert outcome.code == 2
    found = re.search(r"use --size (\d+) or less", outcome.err)
    assert found is not None
    assert cli("plan", "photo.jpg", "painting.png", "--size", found[1], "--memory", "1G").code == 0
    assert cli("plan", "photo.jpg", "nothing.png").code == 2


def test_with_a_time_it_is_that_time(cli, folder, monkeypatch):
    costs = dict.fromkeys(("vgg19", "compact"), 0.1)
    monkeypatch.setattr("impasto.estimate.measure_cost", lambda _: Cost(costs, dict.fromkeys(costs, 0.0)))
    outcome = cli("plan", "photo.jpg", "painting.png", "--time", "40s", "--size", "256")
    assert outcome.code == 0
    seconds = re.search(r"about (\d+) s", outcome.out)
    assert seconds is not None
    assert 30 <= int(seconds[1]) <= 40  # but for what is spare
    assert cli("plan", "photo.jpg", "painting.png", "--time", "2s", "--strength", "0").code == 0
    assert cli("plan", "photo.jpg", "painting.png", "--network", "nothing").code == 2


def test_what_does_not_fit_is_told_of_the_full_size(cli, folder):
    outcome = cli("plan", "photo.jpg", "painting.png", "--size", "6000", "--memory", "400M")
    assert (outcome.code, "6000 x 4500 pixels need" in outcome.err) == (2, True)
