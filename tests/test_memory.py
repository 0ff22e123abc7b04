"""A run that cannot fit is refused before it starts, with a size that can."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from impasto import memory
from impasto.device import Machine
from impasto.errors import OptionError
from impasto.networks import COMPACT, VGG19
from impasto.spec import StyleSpec

MACHINE = Machine(torch.device("cpu"), torch.float32)


def test_what_fits_or_is_unknown_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_memory((480, 640), StyleSpec(), MACHINE, [VGG19])
    monkeypatch.setattr(memory, "memory_bytes", lambda: (None, None))
    memory.check_memory((48_000, 64_000), StyleSpec(), MACHINE, [VGG19])


def test_what_cannot_fit_is_refused_with_a_size_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: (16_000_000_000, None))
    with pytest.raises(OptionError, match=r"40000 x 30000 .* 16 GB: use --size \d+ or less") as caught:
        memory.check_memory((30_000, 40_000), StyleSpec(), MACHINE, [VGG19])
    found = re.search(r"--size (\d+)", str(caught.value))
    assert found is not None
    long_side = int(found[1])
    assert 0.7 * 16e9 < memory.peak_bytes((long_side * 3 // 4, long_side), StyleSpec(), MACHINE, [VGG19]) < 16e9


def test_half_the_precision_and_less_history_take_less() -> None:
    size, half = (480, 640), Machine(torch.device("cpu"), torch.bfloat16)
    usual = memory.peak_bytes(size, StyleSpec(), MACHINE, [VGG19])
    assert memory.peak_bytes(size, StyleSpec(), half, [VGG19]) < usual
    assert memory.peak_bytes(size, StyleSpec(history=5), MACHINE, [VGG19]) < usual


def test_the_largest_network_that_looks_decides() -> None:
    both, alone = ([COMPACT, VGG19], [COMPACT])
    size = (480, 640)
    assert memory.peak_bytes(size, StyleSpec(), MACHINE, both) == memory.peak_bytes(size, StyleSpec(), MACHINE, [VGG19])
    assert memory.peak_bytes(size, StyleSpec(), MACHINE, alone) < memory.peak_bytes(size, StyleSpec(), MACHINE, both)


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (str(limit),))
    monkeypatch.setattr(memory, "_system_memory", lambda: (5_000_000, 2_000_000))
    assert memory.memory_bytes() == (1_000_000, 1_000_000)
    limit.write_text("max\n")
    assert memory.memory_bytes() == (5_000_000, 2_000_000)
