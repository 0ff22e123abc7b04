"""What is written is what is read, and what cannot be read is refused with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from impasto import checkpoint as module
from impasto.checkpoint import Checkpoint, Outline, read_checkpoint, read_outline, write_checkpoint
from impasto.errors import InputError
from impasto.image.destination import writing_folder
from impasto.kept_pairs import folder_of_pairs
from impasto.result import Collected
from impasto.safe_file import opened
from impasto.steps import Steps
from impasto.transfer import Transfer

MakeTransfer = Callable[..., Transfer]


def taken_at(transfer: Transfer, count: int) -> Checkpoint:
    """The checkpoint of a run after so many steps."""
    steps, collected = Steps(transfer), Collected()
    for _ in range(count):
        collected.add(next(steps))
    return Checkpoint(transfer.record, steps.state, collected, {"output": "out.png", "folders": ["a", "b"]})


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("count", [1, 3, 4, 8, 14, 15])
def test_a_run_goes_on_from_its_file_to_the_last_bit(
    count: int, optimizer: str, make_transfer: MakeTransfer, tmp_path: Path
) -> None:
    transfer, path = make_transfer(optimizer=optimizer), tmp_path / "run.checkpoint"
    first, *others = transfer.levels
    transfer = transfer.with_levels([replace(first, margin=8), *others])
    whole = transfer.result(Steps(transfer))
    write_checkpoint(path, taken_at(transfer, count))
    read = read_checkpoint(path)
    assert read.record == transfer.record
    assert read.job == {"output": "out.png", "folders": ["a", "b"]}
    for step in Steps(transfer, read.state):
        read.collected.add(step)
    ours = read.collected.result(transfer.spec, transfer.size, photo=transfer.photo, record=read.record)
    assert torch.equal(ours.tensor, whole.tensor)
    assert ours.history == whole.history
    assert ours.record == whole.record


def pairs_beside(path: Path) -> dict[str, int]:
    """The files of a history, and which they are on the disk."""
    return {file.name: file.stat().st_ino for file in folder_of_pairs(path).iterdir()}


@pytest.mark.parametrize("count", [3, 8, 9])
def test_a_long_history_is_beside_it(
    count: int, make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 1)
    transfer, path = make_transfer(), tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(transfer, count))
    assert pairs_beside(path)
    checkpoint = read_checkpoint(path)
    rows = checkpoint.state.solver["pairs"]["rows"]
    steps = Steps(transfer, checkpoint.state)
    rest = [next(steps)]
    if rest[0].level == checkpoint.collected.history[-1]["level"]:
        assert steps.state.solver["pairs"]["rows"].data_ptr() == rows.data_ptr()  # there is no room for it twice
    rest += steps
    for ours, theirs in zip(rest, list(Steps(transfer))[count:], strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)


def test_of_a_long_history_only_what_is_new_is_written(
    make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 1)
    transfer, path = make_transfer(history=3), tmp_path / "run.checkpoint"
    steps, collected, seen = Steps(transfer), Collected(), []
    for step in steps:
        collected.add(step)
        if step.level == 1:
            write_checkpoint(path, Checkpoint(transfer.record, steps.state, collected, {}))
            seen.append(pairs_beside(path) if folder_of_pairs(path).exists() else {})
    assert len(seen[-1]) == 3
    for before, after in pairwise(seen):
        assert len(after.items() - before.items()) <= 1  # the newest pair
        assert len(before.items() - after.items()) <= 1  # the oldest one
    write_checkpoint(path, taken_at(transfer, 1))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_while_a_history_cannot_be_written_the_checkpoint_before_stays(
    room: int, make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 1)
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(make_transfer(), 4))
    before = path.read_bytes(), pairs_beside(path)

    save, written = save_file, 0

    def full(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written > room:
            raise SafetensorError("No space left on device")
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("impasto.kept_pairs.save_file", full)
        with pytest.raises(OSError, match="No space"):
            write_checkpoint(path, taken_at(make_transfer(), 9))
    assert (path.read_bytes(), pairs_beside(path)) == before
    assert len(read_checkpoint(path).collected.history) == 4


def test_while_the_checkpoint_cannot_be_read_its_history_stays(
    make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 1)
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(make_transfer(), 4))
    before = pairs_beside(path)

    def broken(*_: Any, **__: Any) -> None:
        raise OSError("Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module, "opened", broken)
        patch.setattr("impasto.kept_pairs.save_file", broken)
        with pytest.raises(OSError, match="Input"):
            write_checkpoint(path, taken_at(make_transfer(), 9))
    assert pairs_beside(path) == before
    assert len(read_checkpoint(path).collected.history) == 4


@pytest.mark.parametrize("what", ["gone", "cut", "elsewhere"])
def test_a_history_that_is_lost_is_told_of(
    what: str, make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 1)
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(make_transfer(), 4))
    pair = next(folder_of_pairs(path).iterdir())
    if what == "gone":
        pair.unlink()
    elif what == "cut":
        pair.write_bytes(pair.read_bytes()[:-7])
    else:
        data = path.read_bytes().replace(pair.name.encode(), b"../" + pair.name[3:].encode())
        path.write_bytes(data)
    with pytest.raises(InputError, match="has lost its history"):
        read_checkpoint(path)


def test_a_new_checkpoint_takes_the_place_of_the_one_before(make_transfer: MakeTransfer, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    for count in (2, 5):
        write_checkpoint(path, taken_at(make_transfer(), count))
    assert len(read_checkpoint(path).collected.history) == 5
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_the_one_before_stays(
    make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(make_transfer(), 2))
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for function in ("save_file", "os.fsync", "Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"impasto.kept_pairs.{function}", full)
            with pytest.raises(OSError, match="No space"):
                write_checkpoint(path, taken_at(make_transfer(), 5))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="a small disk is mounted by root")
def test_a_full_disk_leaves_the_one_before(make_transfer: MakeTransfer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        path = small / "run.checkpoint"
        write_checkpoint(path, taken_at(make_transfer(), 2))
        before = path.read_bytes()
        (small / "other").write_bytes(bytes(2**20 - 2 * len(before)))
        with pytest.raises(OSError, match=r"[Nn]o space"):
            write_checkpoint(path, taken_at(make_transfer(), 8))
        assert path.read_bytes() == before
        assert len(read_checkpoint(path).collected.history) == 2
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_one_that_was_killed_left_behind_is_removed(make_transfer: MakeTransfer, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    left = writing_folder(path)
    left.mkdir()
    (left / ".tmpV97rEt").write_bytes(bytes(1000))
    write_checkpoint(path, taken_at(make_transfer(), 2))
    assert list(tmp_path.iterdir()) == [path]


def test_tensors_that_are_the_same_are_written_once(make_transfer: MakeTransfer, tmp_path: Path) -> None:
    checkpoint, path = taken_at(make_transfer(optimizer="adam"), 1), tmp_path / "run.checkpoint"
    write_checkpoint(path, checkpoint)
    picture = checkpoint.state.step.pixels.numel() * 4
    assert 2 * picture < path.stat().st_size < 2.5 * picture  # pixels and gradient; the best step is this one


def test_however_long_the_history_is_the_header_stays_short(make_transfer: MakeTransfer, tmp_path: Path) -> None:
    """Files of safetensors with more than 100 MB of it can be written, but not read."""
    checkpoint, path = taken_at(make_transfer(), 4), tmp_path / "run.checkpoint"
    checkpoint.collected.history *= 1000
    write_checkpoint(path, checkpoint)
    assert int.from_bytes(path.read_bytes()[:8], "little") < 50_000
    assert read_checkpoint(path).collected.history == checkpoint.collected.history
    assert read_outline(path).done == 4000


@pytest.mark.skipif(os.name != "posix", reason="there is no fcntl")
def test_what_is_flushed_is_open_for_writing(
    make_transfer: MakeTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses anything else."""
    import fcntl

    modes = []
    fsync = os.fsync

    def note(handle: int) -> None:
        modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("impasto.kept_pairs.sync_folder", lambda _: None)
        patch.setattr("impasto.kept_pairs.os.fsync", note)
        write_checkpoint(tmp_path / "run.checkpoint", taken_at(make_transfer(), 2))
    assert modes == [os.O_RDWR]


@pytest.fixture
def written(make_transfer: MakeTransfer, tmp_path: Path) -> Path:
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, taken_at(make_transfer(), 6))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), byte=st.integers(0, 255), length=st.none() | st.floats(0, 1))
def test_a_damaged_file_is_refused_or_read(where: float, byte: int, length: float | None, written: Path) -> None:
    """Whatever happened to its first part or its length: InputError, or a checkpoint."""
    whole = written.read_bytes()
    header = int.from_bytes(whole[:8], "little") + 8
    place = int(where * (header - 1))
    damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
    path = written.with_name("damaged")
    path.write_bytes(damaged if length is None else damaged[: int(length * len(whole))])
    with suppress(InputError):
        assert isinstance(read_checkpoint(path), Checkpoint)


@pytest.mark.parametrize("what", ["nothing", "text", "a folder", "other tensors", "no such file"])
def test_what_is_no_checkpoint_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if what == "a folder":
        path.mkdir()
    elif what == "other tensors":
        save_file({"a": torch.zeros(1)}, path)
    elif what != "no such file":
        path.write_text("" if what == "nothing" else "some text, longer than eight bytes")
    with pytest.raises(InputError, match="no checkpoint"):
        read_checkpoint(path)


def test_an_outline_is_read_without_the_tensors(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def without_tensors(path: Path) -> Iterator[SimpleNamespace]:
        with opened(path) as file:
            yield SimpleNamespace(metadata=file.metadata)

    monkeypatch.setattr(module, "opened", without_tensors)
    assert read_outline(written) == Outline(done=6, planned=15, output="out.png")


@pytest.mark.parametrize("change", [{"job": []}, {"job": {}}, {"record": {}}, {"done": "x"}, {"format": 99}])
def test_an_outline_of_what_does_not_fit_together_is_refused(change: dict[str, Any], written: Path) -> None:
    with pytest.raises(InputError):
        read_outline(changed(written, lambda about: about.update(change)))


@pytest.mark.parametrize("number", [2, 99])
def test_another_format_is_refused(number: int, written: Path) -> None:
    save_file({}, written, {module.KEY: json.dumps({"format": number})})
    with pytest.raises(InputError, match="another version"):
        read_checkpoint(written)


def changed(written: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The same checkpoint, with something else in its text, or in its history, which is a text in a tensor."""
    with safe_open(written, framework="pt") as file:
        about = json.loads(file.metadata()[module.KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    place, about["history"] = about["history"], json.loads(bytes(tensors["history"].tolist()))
    about = change(about) or about
    if isinstance(about, dict):
        text = json.dumps(about["history"]).encode()
        about["history"], tensors["history"] = place, torch.tensor(list(text), dtype=torch.uint8)
    save_file(tensors, written, {module.KEY: json.dumps(about)})
    return written


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["step"].update(level=7),
        lambda about: about["step"].update(level=-1),
        lambda about: about["step"].update(index=0),
        lambda about: about["step"].update(of=99),
        lambda about: about["step"].update(index=1.5),
        lambda about: about["step"].update(loss=5),
        lambda about: about["step"].update(pixels=about["step"]["loss"]),
        lambda about: about["step"].update(gradient=about["step"]["loss"]),
        lambda about: about.update(best={}),
        lambda about: about["history"][0].pop("level"),
        lambda about: about["history"][0].update(level=99),
        lambda about: about["history"][0].update(level=-1),
        lambda about: about["history"][0].update(tile=[]),
        lambda about: about.update(history=[1]),
        lambda about: about.update(history=7),
        lambda about: about.update(job=[]),
        lambda about: about.update(record={}),
        lambda about: about.update(solver={"point": {"tensor": "nothing"}}),
        lambda _: [1],
        lambda _: json.loads("[" * 900 + "]" * 900),
    ],
)
def test_what_does_not_fit_together_is_refused(change: Callable[[dict[str, Any]], object], written: Path) -> None:
    with pytest.raises(InputError):
        read_checkpoint(changed(written, change))


def test_a_damaged_solver_is_refused_when_the_run_goes_on(written: Path, make_transfer: MakeTransfer) -> None:
    kept = written.read_bytes()
    for change in (lambda about: about.update(solver={}), lambda about: about["solver"].update(point=-1)):
        written.write_bytes(kept)
        state = read_checkpoint(changed(written, change)).state
        with pytest.raises(InputError, match="damaged"):
            next(Steps(make_transfer(), state))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text in UTF-8 elsewhere")
def test_a_name_need_not_be_utf_8(written: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"run\xff.checkpoint")
    try:
        written.rename(path)
    except OSError:
        pytest.skip("this file system takes no other names")
    assert read_outline(path).done == 6
    assert len(read_checkpoint(path).collected.history) == 6


def test_the_state_of_the_solver_is_not_held_twice(written: Path, make_transfer: MakeTransfer) -> None:
    state = read_checkpoint(written).state
    next(Steps(make_transfer(), state))
    assert not state.solver
