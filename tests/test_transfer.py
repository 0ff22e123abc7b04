from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto import transfer as module
from impasto.device import Machine
from impasto.image.resize import resampled, resize, without_margin
from impasto.networks import Network
from impasto.prepare import Schedule, prepare
from impasto.record import Input
from impasto.spec import RunOptions, StyleSpec
from impasto.steps import Steps
from impasto.transfer import Transfer

MakeTransfer = Callable[..., Transfer]


def test_what_is_hardly_visible_hardly_colors_what_is_looked_at(
    installed: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = torch.zeros(1, 4, 128, 128)
    photo[:, 1, :, :66], photo[:, 3, :, :66] = 0.6, 1  # green, and seen
    photo[:, 0, :, 66:], photo[:, 2, :, 66:], photo[:, 3, :, 66:] = 1, 1, 1 / 255  # magenta junk
    seen: dict[str, Any] = {}
    original = module.style_transfer_objective

    def look(extractor: Any, content: Any, *arguments: Any, **options: Any) -> Any:
        seen["content"] = content
        return original(extractor, content, *arguments, **options)

    monkeypatch.setattr(module, "style_transfer_objective", look)
    run = prepare(photo, torch.rand(1, 3, 64, 64), StyleSpec(size="32"), RunOptions(precision="fp32"))
    run.objective(run.levels[-1])
    border = seen["content"][0, :, 16, 16]  # half of its columns are green, the others junk
    assert float(border[1]) > 0.55
    assert float(border[0]) < 0.05


def test_vectors_live_where_the_level_says(make_transfer: MakeTransfer) -> None:
    machine = Machine(torch.device("meta"), torch.float32)
    transfer = replace(make_transfer(), machine=machine)
    level = transfer.levels[0]
    assert transfer.home(level) == transfer.starting_point(level).device == torch.device("meta")
    elsewhere = replace(level, vectors="main memory")
    assert transfer.home(elsewhere) == transfer.starting_point(elsewhere).device == torch.device("cpu")


def test_what_began_as_the_photo_grows_with_its_details(make_transfer: MakeTransfer) -> None:
    transfer = make_transfer()
    coarse, fine = transfer.levels[0], replace(transfer.levels[-1], margin=8)
    photo = transfer.content.pixels
    grown = transfer.starting_point(fine, resize(photo, coarse.size))
    assert grown.shape == (1, 3, 112, 144)
    torch.testing.assert_close(without_margin(grown, 8), photo)
    gray = torch.full_like(photo, 0.5)
    assert torch.equal(without_margin(transfer.starting_point(fine, gray), 8), gray), "it did not grow"


@pytest.mark.parametrize("init", ["noise", "style"])
def test_what_began_as_something_else_has_no_details_of_the_photo(init: str, make_transfer: MakeTransfer) -> None:
    transfer = make_transfer(init=init)
    small = resize(transfer.content.pixels, transfer.levels[0].size)
    fine = transfer.levels[-1]
    assert torch.equal(transfer.starting_point(fine, small), resize(small, fine.size))
    # A file may be called like that.
    file = Input(name=init, bytes=1, sha256="0" * 64)
    given = transfer.record.model_copy(update={"inputs": {"init": file}})
    named = replace(transfer, record=given)
    torch.testing.assert_close(named.starting_point(fine, small), transfer.content.pixels)
    texture = replace(named, spec=named.spec.model_copy(update={"strength": 1.0}))
    assert torch.equal(texture.starting_point(fine, small), resize(small, fine.size))


def test_a_photo_that_is_smaller_than_its_result_is_where_it_starts(make_transfer: MakeTransfer) -> None:
    transfer = make_transfer()
    level = replace(transfer.levels[-1], size=(120, 160))
    assert torch.equal(transfer.starting_point(level), resize(transfer.content.pixels, level.size))


@pytest.mark.parametrize("kind", ["whole numbers", "gray", "transparent"])
def test_a_run_grows_with_the_details_of_what_is_compared(kind: str, installed: Network) -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 4 if kind == "transparent" else 3, 96, 128, generator=generator)
    if kind == "transparent":
        photo[:, 3, :, 64:] = 0
    source = Image.fromarray((photo[0].permute(1, 2, 0) * 255).byte().numpy())
    spec = StyleSpec(size="128", num_iterations=1, color="content" if kind == "gray" else "style")
    painting = torch.rand(1, 3, 96, 96, generator=generator)
    transfer = prepare(source, painting, spec, RunOptions(precision="fp32"))
    steps = list(Steps(transfer))
    (before, first) = next((a, b) for a, b in pairwise(steps) if a.size != b.size)
    wanted = transfer.content.resized(first.size).pixels
    small = before.within_margin.clamp(0, 1)
    details = wanted - resampled(resampled(wanted, before.size), first.size)
    expected = (resampled(small, first.size) + details).clamp(0, 1)
    torch.testing.assert_close(without_margin(first.pixels, first.margin), expected)
    assert (resize(small, first.size) - expected).abs().mean() > 0.05


def test_a_run_that_looks_at_the_content_again_is_the_same(make_transfer: MakeTransfer) -> None:
    transfer = make_transfer()
    again = replace(transfer, levels=tuple(replace(level, targets="again") for level in transfer.levels))
    for ours, theirs in zip(Steps(again), Steps(transfer), strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)
    (term,) = (term for term in again.objective(again.levels[0]).octaves[0].terms if term.name == "content relu4_2")
    assert not isinstance(term.loss.target, Tensor)


def test_what_was_in_main_memory_of_a_gpu_machine_is_on_the_device_elsewhere(
    installed: Network, photo: Tensor, painting: Tensor
) -> None:
    planned = prepare(photo, painting, StyleSpec(size="48"), RunOptions(precision="fp32"))
    levels = [replace(level, vectors="main memory") for level in planned.levels]
    again = prepare(
        photo,
        painting,
        StyleSpec(size="48"),
        RunOptions(precision="fp32"),
        schedule=Schedule(planned.size, levels),
    )
    assert [level.vectors for level in again.levels] == ["device"] * len(levels)


def test_a_run_that_goes_on_with_less_memory_than_it_takes_says_so(
    installed: Network,
    photo: Tensor,
    painting: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    look, run, free = StyleSpec(size="48", network="tiny"), RunOptions(precision="fp32"), [2**33]
    monkeypatch.setattr("impasto.prepare.memory_bytes", lambda: (2**34, free[0]))
    planned = prepare(photo, painting, look, run)
    assert not caplog.messages
    free[0] = 2**25
    again = prepare(photo, painting, look, run, schedule=Schedule(planned.size, planned.levels))
    assert again.levels == planned.levels
    (message,) = caplog.messages
    assert re.search(r"about 0\.\d\d GiB more memory, and 0\.03 GiB is free: close other programs", message)


def kept_bytes(transfer: Transfer) -> int:
    """The bytes of all pictures, each memory once."""
    pictures = (transfer.photo, transfer.content, transfer.style)
    tensors = [transfer.init, *(picture.stored for picture in pictures)]
    tensors += [picture.alpha for picture in pictures if picture.alpha is not None]
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


@pytest.mark.parametrize("init", ["content", "style", "noise"])
@pytest.mark.parametrize("color", ["style", "match", "content"])
@pytest.mark.parametrize("kind", ["RGB", "gray", "RGBA", "16 bits"])
def test_the_pictures_that_are_kept_are_counted(kind: str, color: str, init: str, installed: Network) -> None:
    numbers = np.random.default_rng(0).integers(0, 255, (300, 400, 4 if kind == "RGBA" else 3), dtype=np.uint8)
    source = {"gray": numbers[..., 0], "16 bits": numbers.astype(np.uint16) * 257}.get(kind, numbers)
    spec = StyleSpec.model_validate({"size": "64", "color": color, "init": init})
    transfer = prepare(source, numbers[..., :3], spec, RunOptions(precision="fp32"))
    assert transfer.footprint.pictures == pytest.approx(kept_bytes(transfer), rel=0.3)
    if kind in ("RGB", "gray") and color == "style":
        assert transfer.content.stored.dtype == torch.uint8
