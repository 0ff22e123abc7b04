from __future__ import annotations

import platform

import pytest
import torch

import impasto
from impasto.cli import doctor

pytestmark = pytest.mark.usefixtures("bare_machine")


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
    assert "impasto weights get vgg19\n" in outcome.out
    assert "impasto weights import" in outcome.out
    assert "vgg19-torchvision: weights missing, and not needed\n" in outcome.out


def test_damaged_weights(cli, folder, tmp_path):
    (tmp_path / "cache" / "weights" / "vgg19.safetensors").write_text("broken")
    outcome = cli("doctor")
    assert outcome.code == 3
    assert "cannot be used" in outcome.out


def test_a_cache_that_cannot_be_written(cli, folder, monkeypatch):
    (folder / "file").touch()
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / "file" / "cache"))
    assert "Set IMPASTO_CACHE to a folder that can be written." in cli("doctor").out
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / ("x" * 300)))
    outcome = cli("doctor").out
    assert "(File name too long)" in outcome
    assert "Set IMPASTO_CACHE to a folder that can be written." in outcome


def test_a_folder_for_weights_that_is_not_there(cli, folder, monkeypatch):
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", "/no/such")
    assert "/no/such (no such folder)\n    -> Set IMPASTO_WEIGHTS_DIR" in cli("doctor").out
    monkeypatch.setenv("IMPASTO_WEIGHTS_DIR", str(folder))
    assert "IMPASTO_WEIGHTS_DIR" not in cli("doctor").out


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr("impasto.free_memory.memory_bytes", lambda: (None, None))
    assert [finding.value for finding in doctor._memory()] == ["unknown"]
    monkeypatch.setattr("impasto.free_memory.memory_bytes", lambda: (8 * 2**30, 2**30))
    (finding,) = doctor._memory()
    assert (finding.value, finding.advice[:6]) == ("8.0 GiB, 1.0 GiB free", "Little")


def test_threads_that_are_held_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS" in doctor._threads(1, 4).advice
    assert doctor._threads(4, 4).advice == ""


def test_what_is_damaged_in_the_cache_of_another_program_is_named(cli, no_weights, tmp_path):
    path = tmp_path / "home" / ".keras" / "models" / "tiny.h5"
    path.parent.mkdir(parents=True)
    path.write_text("half")
    outcome = cli("doctor")
    assert outcome.code == 3
    assert f"{path} is not the published file, or a part" in outcome.out


def test_unfinished_downloads_are_named_with_what_continues_them(cli, no_weights, tmp_path):
    part = tmp_path / "cache" / "weights" / "vgg19-dcbb9e9d.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1_500_000))
    outcome = cli("doctor")
    assert f"{part} (1.5 of 574.7 MB)" in outcome.out
    assert "'impasto weights get vgg19-torchvision' continues it" in outcome.out


def test_proxies_are_named_without_their_passwords(cli, folder, monkeypatch):
    assert "proxies:" in cli("doctor").out
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    outcome = cli("doctor")
    assert "https: proxy:3128, no: localhost" in outcome.out
    assert "secret" not in outcome.out


@pytest.mark.parametrize("missing", [[], ["av"], ["av", "pyvips"], list(doctor.EXTRAS.values())])
def test_extras_that_are_not_installed_come_with_the_command(missing, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda module: None if module in missing else object())
    (finding,) = doctor._extras()
    left_out = [extra for extra, module in doctor.EXTRAS.items() if module in missing]
    assert finding.value == (", ".join(extra for extra in doctor.EXTRAS if extra not in left_out) or "none")
    assert (f"pip install 'impasto[{','.join(left_out)}]'" in finding.advice) == bool(missing)
    assert bool(finding.advice) == bool(missing)
