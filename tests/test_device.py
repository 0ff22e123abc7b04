from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from impasto.device import resolve_machine, sent, using_threads
from impasto.errors import OptionError
from impasto.hardware import bf16_speedup, has_native_bf16
from impasto.spec import RunOptions

CPU_LOOKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def without_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def with_bf16(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    for look in CPU_LOOKS:
        monkeypatch.setattr(torch.cpu, look, lambda: present, raising=False)


def threads_of_a_fresh_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    without_accelerators(monkeypatch)
    assert resolve_machine(RunOptions()).device == torch.device("cpu")


def test_auto_takes_the_accelerator_that_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    without_accelerators(monkeypatch)
    monkeypatch.setattr("impasto.device.bf16_speedup", lambda device: 2.0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_machine(RunOptions()).device.type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert resolve_machine(RunOptions()).device.type == "cuda"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_with_those_present(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_accelerators(monkeypatch)
    with pytest.raises(OptionError, match=rf"--device is '{device}'.*Use one of cpu, or auto"):
        resolve_machine(RunOptions(device=device))  # type: ignore[arg-type]


@pytest.mark.parametrize("present", [True, False])
def test_auto_precision_is_bf16_where_the_hardware_has_it(present: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with_bf16(monkeypatch, present)
    monkeypatch.setattr("impasto.device.bf16_speedup", lambda device: 2.0)
    machine = resolve_machine(RunOptions(device="cpu"))
    assert machine.precision == ("bf16" if present else "fp32")
    assert machine.dtype == (torch.bfloat16 if present else torch.float32)


@pytest.mark.parametrize(("speedup", "precision"), [(0.5, "fp32"), (1.05, "fp32"), (1.5, "bf16")])
def test_auto_precision_is_bf16_only_where_it_is_faster(
    speedup: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bf16(monkeypatch, True)
    monkeypatch.setattr("impasto.device.bf16_speedup", lambda device: speedup)
    assert resolve_machine(RunOptions(device="cpu")).precision == precision
    assert resolve_machine(RunOptions(device="cpu", precision="bf16")).precision == "bf16"
    assert resolve_machine(RunOptions(device="cpu"), exact=True).precision == "fp32"


def test_the_speed_of_bf16_is_measured_once(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPASTO_CACHE", raising=False)
    first = bf16_speedup(torch.device("cpu"))
    assert first > 0
    monkeypatch.setattr("impasto.hardware._measured", lambda device: 99.0)
    assert bf16_speedup(torch.device("cpu")) == first
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert bf16_speedup(torch.device("cpu")) == 99.0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "b"}', "\0"])
def test_a_damaged_note_of_the_speed_is_replaced(
    text: str, bare_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    (tmp_path / "hardware.json").write_text(text)
    monkeypatch.setattr("impasto.hardware._measured", lambda device: 2.5)
    assert bf16_speedup(torch.device("cpu")) == 2.5
    assert "2.5" in (tmp_path / "hardware.json").read_text()


def test_fp32_is_fp32_even_where_bf16_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    with_bf16(monkeypatch, True)
    machine = resolve_machine(RunOptions(device="cpu", precision="fp32"))
    assert (machine.dtype, machine.precision) == (torch.float32, "fp32")


def test_a_torch_without_the_looks_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    for look in CPU_LOOKS:
        monkeypatch.delattr(torch.cpu, look, raising=False)
    assert not has_native_bf16(torch.device("cpu"))


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bf16_is_native_from_ampere_on(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_native_bf16(torch.device("cuda")) is native


def test_the_threads_asked_for_are_recorded() -> None:
    assert resolve_machine(RunOptions(threads=2)).threads == 2
    assert resolve_machine(RunOptions()).threads is None


def test_threads_are_set_inside_and_put_back_after(three_threads: None) -> None:
    with using_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


def test_threads_are_put_back_after_an_exception(three_threads: None) -> None:
    with pytest.raises(KeyError), using_threads(2):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_none_leaves_the_threads_alone(three_threads: None) -> None:
    with using_threads(None):
        assert torch.get_num_threads() == 3


def test_overlapping_uses_in_two_threads_leave_the_setting_as_found(three_threads: None) -> None:
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with using_threads(1):
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with using_threads(2):
            second_in.set()
            first_out.wait(10)

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == 3
    assert threads_of_a_fresh_thread() == 3


def test_what_stays_here_is_sent_nowhere() -> None:
    tensor = torch.ones(2)
    assert sent(tensor, torch.device("cpu")) is tensor


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_what_is_sent_to_a_gpu_arrives_whole() -> None:
    tensor = torch.arange(1_000_000.0).view(1000, 1000)[::2, ::3]
    assert torch.equal(sent(tensor, torch.device("cuda")).cpu(), tensor)
