from __future__ import annotations

import platform

import torch

import impasto
from impasto.cli import doctor


def test_a_machine_that_can_stylize(cli, folder, tmp_path):
    outcome = cli("doctor")
    assert outcome.code == 0
    for text in (impasto.__version__, platform.python_version(), torch.__version__, "native bf16", "threads", "memory"):
        assert text in outcome.out
    assert str(tmp_path / "cache" / "weights" / "vgg19.safetensors") in outcome.out
    assert outcome.out.endswith("Ready to stylize: try 'impasto demo'.\n")


def test_missing_weights(cli, no_weights):
    outcome = cli("doctor")
    assert outcome.code == 3
    assert "weights missing" in outcome.out
    assert "impasto weights import" in outcome.out


def test_damaged_weights(cli, folder, tmp_path):
    (tmp_path / "cache" / "weights" / "vgg19.safetensors").write_text("broken")
    outcome = cli("doctor")
    assert outcome.code == 3
    assert "cannot be used" in outcome.out


def test_a_cache_that_cannot_be_written(cli, folder, monkeypatch):
    (folder / "file").touch()
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / "file" / "cache"))
    assert "Set IMPASTO_CACHE to a folder that can be written." in cli("doctor").out


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr("impasto.memory.memory_bytes", lambda: (None, None))
    assert [finding.value for finding in doctor._memory()] == ["unknown"]
    monkeypatch.setattr("impasto.memory.memory_bytes", lambda: (8e9, 1e9))
    (finding,) = doctor._memory()
    assert (finding.value, finding.advice[:6]) == ("8.0 GB, 1.0 GB free", "Little")


def test_threads_that_are_held_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS" in doctor._threads(1, 4).advice
    assert doctor._threads(4, 4).advice == ""
