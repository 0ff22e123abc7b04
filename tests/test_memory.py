"""What a run takes is predicted, and fitted into what there is; what cannot be is refused with a size that can."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.device import Machine
from impasto.errors import ImpastoError, OptionError
from impasto.footprint import LEEWAY, Footprint
from impasto.grid import SMALLEST_TILE
from impasto.memory import check_reading, fit_memory, in_smaller_tiles
from impasto.networks import COMPACT, VGG19
from impasto.pyramid import Level
from impasto.quantity import parse_bytes
from impasto.spec import StyleSpec

GB = 2**30
CPU = torch.device("cpu")
NETWORKS = {"vgg19": VGG19, "compact": COMPACT}


def footprint(
    dtype: torch.dtype = torch.bfloat16, pictures: float = 0.0, gigabytes: float | None = None, **options: object
) -> Footprint:
    spec = StyleSpec.model_validate(options)
    limit = None if gigabytes is None else gigabytes * GB
    return Footprint(spec, Machine(torch.device("cpu"), dtype), NETWORKS, pictures, limit)


def level(side: int, network: str = "vgg19", **fitted: object) -> Level:
    return Level((side * 3 // 4, side), (side, side), 40, network, **fitted)  # type: ignore[arg-type]


def test_what_fits_or_is_unknown_is_left_as_it_is() -> None:
    for limit in (64 * GB, None):
        assert fit_memory([level(512), level(1024)], footprint(), limit) == [level(512), level(1024)]
    assert fit_memory([level(60_000)], footprint(), None) == [level(60_000)]


def test_first_come_tiles_then_half_the_precision_then_less_history() -> None:
    choices = [fit_memory([level(4096)], footprint(), gigabytes * GB)[0] for gigabytes in (40, 9, 6, 4, 3)]
    assert [bool(choice.tile) for choice in choices] == [False, True, True, True, True]
    assert [choice.history_precision for choice in choices] == ["fp32", "fp32", "bf16", "bf16", "bf16"]
    assert [choice.history or 20 for choice in choices] == sorted((c.history or 20 for c in choices), reverse=True)
    assert choices[-1].history is not None
    assert choices[-1].history < 20
    assert all(choice.targets == "kept" for choice in choices)


def test_a_painting_that_is_much_larger_than_the_picture_is_counted() -> None:
    usual = footprint().least_of_level(level(512))
    assert footprint().least_of_level(replace(level(512), style_size=(768, 1024))) < 1.1 * usual
    larger = footprint().least_of_level(replace(level(512), style_size=(4096, 5120)))
    assert larger > usual + 3 * 4 * 4096 * 5120
    # In tiles, so that its features are no more than the picture's.
    assert larger < 2 * usual + 3 * 3 * 4 * 4096 * 5120


@given(side=st.integers(64, 6000), gigabytes=st.floats(0.5, 64), fp32=st.booleans())
def test_whatever_is_chosen_stays_within_the_limit(side: int, gigabytes: float, fp32: bool) -> None:
    predicted = footprint(torch.float32 if fp32 else torch.bfloat16, gigabytes=gigabytes)
    refusal = ""
    try:
        (choice,) = fit_memory([level(side)], predicted, gigabytes * GB)
    except OptionError as error:
        refusal = str(error)
    else:
        assert predicted.of_level(choice) <= gigabytes * GB
    if smaller := re.search(r"use --size (\d+) or less", refusal):
        fit_memory([level(int(smaller[1]))], predicted, gigabytes * GB)
    elif refusal:
        assert gigabytes < 1
    if enough := re.search(r"use --memory (\w+) or more", refusal):
        fit_memory([level(side)], predicted, parse_bytes(enough[1]))


def test_only_what_does_not_fit_is_changed() -> None:
    small, large = fit_memory([level(512), level(4096)], footprint(), 6 * GB)
    assert small == level(512)
    assert large.tile


def test_half_the_precision_less_history_and_a_narrower_network_take_less() -> None:
    usual = footprint().of_level(level(2048))
    assert footprint(torch.float32).of_level(level(2048)) > usual
    assert footprint(history=5).of_level(level(2048)) < usual
    assert footprint().of_level(level(2048, "compact")) < usual
    assert footprint().of_level(level(2048, tile=512)) < usual
    assert footprint().of_level(level(2048, history_precision="bf16")) < usual
    assert footprint(optimizer="adam").of_level(level(2048)) < usual
    assert footprint(pictures=GB).of_level(level(2048)) == pytest.approx(usual + GB)


def test_a_run_takes_no_less_than_it_took_to_read_the_pictures() -> None:
    small, usual = level(256), footprint()
    read = replace(usual, reading=5.0 * GB)
    assert read.of_run([small]) > 5 * GB
    assert read.of_level(small) == usual.of_level(small)
    on_a_card = replace(read, machine=Machine(torch.device("cuda"), torch.bfloat16))
    assert on_a_card.of_run([small]) < 5 * GB  # of its own memory
    assert replace(usual, reading=1.0).of_run([small]) == usual.of_run([small])


def test_what_was_read_is_held_against_what_was_asked_for_alone() -> None:
    read = replace(footprint(), reading=5.0 * GB)
    with pytest.raises(OptionError, match=r"To read the pictures takes .* use --memory .* or more, or reduce"):
        check_reading(read, 5 * GB)
    check_reading(read, 6 * GB)
    check_reading(read, None)
    assert fit_memory([level(256)], read, 5 * GB) == [level(256)]
    check_reading(replace(read, machine=Machine(torch.device("cuda"), torch.bfloat16)), GB)


def test_a_margin_takes_what_its_pixels_take() -> None:
    plain, around = level(2048), level(2048, margin=16)
    wider = replace(plain, size=around.canvas)
    assert footprint().of_level(plain) < footprint().of_level(around) == footprint().of_level(wider)
    shallow = {"content_layers": {"relu3_1": 1.0}, "style_layers": {"relu3_1": 1.0}}
    assert footprint(**shallow).of_level(level(2048, margin=16)) == footprint(**shallow).of_level(wider)


def test_the_size_that_is_suggested_does_for_the_part_with_a_margin_too() -> None:
    levels, limit = [level(8000, "compact", margin=16), level(8000, "compact")], GB
    with pytest.raises(OptionError) as refusal:
        fit_memory(levels, footprint(gigabytes=1), limit)
    smaller = re.search(r"use --size (\d+) or less", str(refusal.value))
    assert smaller is not None
    side = int(smaller[1])
    fit_memory([level(side, "compact", margin=16), level(side, "compact")], footprint(gigabytes=1), limit)


def test_a_single_evaluation_needs_no_solver() -> None:
    once, twice, often = (footprint().least_of_level(replace(level(2048), iterations=count)) for count in (1, 2, 3))
    assert once < twice < often
    assert once == footprint(history=100).least_of_level(replace(level(2048), iterations=1))


def test_without_the_first_layer_more_is_kept() -> None:
    deeper = {"relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
    with_first = footprint(style_layers={"relu1_1": 1.0, **deeper}).least_of_level(level(1024))
    assert footprint(style_layers=deeper).least_of_level(level(1024)) > 1.05 * with_first


def test_what_is_freed_is_kept_where_there_is_room() -> None:
    most = footprint().of_level(level(1024))
    least = footprint().least_of_level(level(1024))
    assert least < most
    for limit, expected in ((1.01 * LEEWAY * most, most), (0.99 * LEEWAY * most, least), (0.5 * least, least)):
        predicted = footprint(gigabytes=limit / GB)
        assert predicted.keeps_freed(level(1024)) == (expected == most)
        assert predicted.hands_back(level(1024)) == (expected == least)
        assert predicted.of_level(level(1024)) == expected


def test_giants_take_what_they_were_measured_to_take() -> None:
    once = Level((8192, 8192), (8192, 8192), 1, tile=2048)
    assert 0.95 < footprint().least_of_level(once) / 8.061e9 < 1.15  # results/giant.jsonl
    thrice = Level((4096, 4096), (4096, 4096), 3, tile=768)
    assert 0.95 < footprint().least_of_level(thrice) / 3.335e9 < 1.15


def test_the_bound_leaves_room_for_what_else_is_in_the_process() -> None:
    alone, beside = footprint(), replace(footprint(), others=5.0 * GB)
    for keeps, predicted in ((True, alone.of_level(level(1024))), (False, alone.least_of_level(level(1024)))):
        bound = alone.bound(level(1024), keeps_freed=keeps)
        assert 0.95 * predicted < bound < predicted
        assert beside.bound(level(1024), keeps_freed=keeps) == bound + 5 * GB
    on_gpu = replace(alone, machine=Machine(torch.device("cuda"), torch.bfloat16))
    assert on_gpu.bound(level(1024), keeps_freed=False) == math.inf


def test_whether_memory_is_kept_does_not_depend_on_the_time_there_is() -> None:
    few, many = (replace(level(1024), iterations=count) for count in (3, 500))
    in_between = (footprint().of_level(few) + footprint().of_level(replace(few, iterations=20))) / 2
    room = footprint(gigabytes=LEEWAY * in_between / GB)
    assert not room.keeps_freed(few)
    assert room.keeps_freed(few) == room.keeps_freed(many)


def test_elsewhere_there_is_nothing_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = replace(footprint(gigabytes=1), machine=Machine(torch.device("cuda"), torch.bfloat16))
    monkeypatch.setattr("impasto.footprint.can_keep", lambda: False)
    for predicted in (on_gpu, footprint(), footprint(gigabytes=1)):
        assert not predicted.keeps_freed(level(1024))
        assert not predicted.hands_back(level(1024))
        assert predicted.of_level(level(1024)) == predicted.least_of_level(level(1024))


def test_the_last_resort_is_to_look_at_the_content_again() -> None:
    in_fp32 = footprint(torch.float32)
    smallest = level(4096, tile=256, history=2, history_precision="bf16")
    least = in_fp32.least_of_level(smallest)
    assert fit_memory([level(4096)], in_fp32, 1.01 * LEEWAY * least) == [smallest]
    assert fit_memory([level(4096)], in_fp32, 0.99 * LEEWAY * least) == [replace(smallest, targets="again")]


def test_on_a_gpu_vectors_move_to_main_memory_before_the_history_is_cut() -> None:
    on_gpu = replace(footprint(), machine=Machine(torch.device("cuda"), torch.bfloat16), main=64 * GB)
    choices = [fit_memory([level(8192)], on_gpu, gigabytes * GB)[0] for gigabytes in (60, 40, 25, 8, 4)]
    assert [bool(choice.tile) for choice in choices] == [False, True, True, True, True]
    assert [choice.vectors for choice in choices] == ["device"] * 3 + ["main memory"] * 2
    assert [choice.history_precision for choice in choices] == ["fp32", "fp32", "bf16", "fp32", "fp32"]
    assert all((choice.history or 20) == 20 for choice in choices)
    for choice in choices:
        assert on_gpu.fits(choice, 60 * GB)
    short_of_both = fit_memory([level(8192)], replace(on_gpu, main=20 * GB), 8 * GB)[0]
    assert (short_of_both.vectors, short_of_both.history_precision) == ("main memory", "bf16")
    with pytest.raises(
        OptionError, match=r"[GM] of main memory at least, and 1024M .* --size \d+ or less, or close other"
    ):
        fit_memory([level(8192)], replace(on_gpu, main=GB), 4 * GB)


def test_on_a_gpu_the_pictures_that_were_read_are_elsewhere() -> None:
    on_gpu = replace(footprint(), machine=Machine(torch.device("cuda"), torch.bfloat16))
    assert replace(on_gpu, pictures=GB).of_level(level(1024)) == on_gpu.of_level(level(1024))


def test_the_largest_level_decides() -> None:
    levels = [level(512), level(2048, "compact"), level(2048)]
    assert footprint().of_run(levels) == footprint().of_level(levels[-1])


def test_tiles_are_halved_until_they_are_too_small() -> None:
    tried = [level(1000)]
    while tried[-1].tile != SMALLEST_TILE:
        tried.append(in_smaller_tiles(tried[-1], CPU))
    assert [each.tile for each in tried] == [0, 500, 256]
    with pytest.raises(ImpastoError, match="smaller --size"):
        in_smaller_tiles(tried[-1], CPU)


def test_on_a_gpu_there_is_main_memory_after_the_smallest_tiles() -> None:
    smallest = level(1000, tile=SMALLEST_TILE)
    moved = in_smaller_tiles(smallest, torch.device("cuda"))
    assert moved == replace(smallest, vectors="main memory")
    with pytest.raises(ImpastoError, match="smaller --size"):
        in_smaller_tiles(moved, torch.device("cuda"))
