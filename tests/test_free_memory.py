from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from impasto import free_memory

GB = 10**9


def test_of_free_memory_a_quarter_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = torch.device("cpu")
    monkeypatch.setattr(free_memory, "memory_bytes", lambda: (16 * GB, 8 * GB))
    assert free_memory.available_bytes(machine) == 6 * GB
    monkeypatch.setattr(free_memory, "memory_bytes", lambda: (16 * GB, None))
    assert free_memory.available_bytes(machine) == 12 * GB
    monkeypatch.setattr(free_memory, "memory_bytes", lambda: (None, None))
    assert free_memory.available_bytes(machine) is None


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(free_memory, "GROUPS", tmp_path)
    monkeypatch.setattr(free_memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(free_memory, "_system_memory", lambda: (50 * GB, 20 * GB))
    return tmp_path


def written(folder: Path, **numbers: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in numbers.items():
        (folder / f"memory.{name}").write_text(f"{number}\n")


def test_the_limit_of_a_container_counts_and_what_it_has_taken(groups: Path) -> None:
    (groups / "own").write_text("0::/\n")
    written(groups, max=10 * GB, current=6 * GB, stat=f"anon 5\ninactive_file {2 * GB}")
    assert free_memory.memory_bytes() == (10 * GB, 6 * GB)
    written(groups, max="max")
    assert free_memory.memory_bytes() == (50 * GB, 20 * GB)


def test_the_closest_limit_may_be_farther_up(groups: Path) -> None:
    (groups / "own").write_text("5:cpu:/\n0::/user/session\n")
    written(groups / "user" / "session", max=30 * GB, current=29 * GB)
    written(groups / "user", max=25 * GB, current=1 * GB)
    assert free_memory.memory_bytes() == (25 * GB, 1 * GB)


@pytest.mark.parametrize("name", ["/", "/docker/4ac1", "/../elsewhere"])
def test_groups_of_the_first_kind_are_read_as_well(name: str, groups: Path) -> None:
    (groups / "own").write_text(f"4:memory:{name}\n0::/\n")
    written(groups / "memory", limit_in_bytes=8 * GB, usage_in_bytes=9 * GB)
    assert free_memory.memory_bytes() == (8 * GB, 0)


@pytest.mark.parametrize("text", [None, "", "nonsense", "4:memory", "0::/nowhere"])
def test_without_groups_it_is_the_machine_that_counts(text: str | None, groups: Path) -> None:
    if text is not None:
        (groups / "own").write_text(text)
    assert free_memory.memory_bytes() == (50 * GB, 20 * GB)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has in memory")
def test_what_a_process_has_grows_with_what_it_writes() -> None:
    before = free_memory.resident_bytes()
    written = torch.ones(25_000_000)
    assert 0.09 * GB < free_memory.resident_bytes() - before < 0.2 * GB
    del written


def test_elsewhere_nobody_tells_what_a_process_has_and_nothing_of_linux_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(free_memory.sys, "platform", "win32")
    monkeypatch.delattr(free_memory.os, "pread")  # which Windows does not have
    assert free_memory.resident_bytes() == 0
