from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.estimate import (
    MOST_EVALUATIONS,
    SPARE,
    Cost,
    compare_cost,
    fit_levels,
    known_cost,
    measure_cost,
    open_ended,
    seconds_of_next,
)
from impasto.features import Extractor
from impasto.objective import Evaluation
from impasto.optimize import Step
from impasto.prepare import prepare
from impasto.pyramid import Level
from impasto.spec import RunOptions, StyleSpec
from impasto.transfer import Transfer


def test_cost_is_summed_over_levels():
    cost = Cost({"vgg19": 1.0}, {"vgg19": 0.01})
    small, large = Level((10, 10), (10, 20), 4), Level((20, 20), (10, 20), 2)
    assert cost.of_evaluation(small) == pytest.approx(2.0)
    assert cost.of_level(small) == pytest.approx((2.0 + 2.0) / 3 + 4 * 2.0)
    assert cost.of_levels([small, large]) == pytest.approx(cost.of_level(small) + (5.0 + 2.0) / 3 + 2 * 5.0)


def test_a_margin_costs_what_its_pixels_cost():
    cost = Cost({"vgg19": 0.0}, {"vgg19": 1e-6})
    plain = Level((100, 200), (100, 100), 1)
    assert cost.of_evaluation(replace(plain, margin=16)) == pytest.approx(132 * 232 * 1e-6)
    assert cost.of_evaluation(plain) == pytest.approx(100 * 200 * 1e-6)


@pytest.fixture
def transfer(installed, photo, painting):
    """A run on the tiny network, two sizes."""
    spec = StyleSpec(size="128", num_iterations=2, coarse_iterations=(1.5,))
    return prepare(photo, painting, spec, RunOptions(device="cpu", precision="fp32"))


def test_tiles_cost_more_the_smaller_they_are(transfer):
    cost = replace(known_cost(transfer), fixed={"tiny": 0.0}, per_pixel={"tiny": 1e-6})
    whole = Level((2000, 2000), (100, 100), 1, "tiny")
    tiled = [cost.of_evaluation(replace(whole, tile=tile)) / 4.0 for tile in (4000, 1024, 512, 256)]
    assert tiled[0] == 1.0
    assert 1.3 < tiled[1] < tiled[2] < tiled[3] < 5


def test_tiles_that_are_apart_cost_more(transfer):
    cost = known_cost(transfer)
    apart = replace(transfer, machine=replace(transfer.machine, dtype=torch.bfloat16))
    level = Level((2000, 2000), (100, 100), 1, "tiny", tile=512)
    assert known_cost(apart).longer(level) > 1.1 * cost.longer(level)


def test_a_measured_cost_is_a_time(transfer):
    cost = measure_cost(transfer)
    assert cost.fixed["tiny"] >= 0
    assert cost.per_pixel["tiny"] >= 0
    assert cost.of_levels(transfer.levels) > 0


def test_what_was_measured_is_known_to_the_next_run(transfer, monkeypatch):
    cost = known_cost(transfer)

    def seconds(*_: object) -> float:
        return 7.0

    monkeypatch.setattr("impasto.estimate._time_evaluation", seconds)
    again = known_cost(transfer)
    assert (again.fixed, again.per_pixel) == (cost.fixed, cost.per_pixel)
    others = transfer.spec.model_copy(update={"octaves": 1 + transfer.spec.octaves % 2})
    assert known_cost(replace(transfer, spec=others)).fixed["tiny"] > 6
    assert known_cost(transfer).fixed == cost.fixed
    assert measure_cost(transfer).fixed["tiny"] > 6
    assert known_cost(transfer).fixed["tiny"] > 6  # the latest counts


@pytest.mark.parametrize(("took", "is_kept"), [(5.0, True), (8.0, False), (3.0, False), (0.1, True)])
def test_an_estimate_that_was_far_off_is_not_used_again(took, is_kept, transfer, monkeypatch):
    kept = known_cost(transfer)
    compare_cost(transfer, 5.0, took)
    monkeypatch.setattr("impasto.estimate._time_evaluation", lambda *_: 7.0)
    assert (known_cost(transfer).fixed == kept.fixed) == is_kept


def test_larger_pictures_are_timed_until_an_evaluation_takes_long_enough(transfer, monkeypatch):
    timed = []

    def seconds(_: Transfer, network: Extractor, side: int) -> float:
        timed.append(side)
        return 0.01 * (2 if side == 110 else 1) + 1e-6 * side**2

    monkeypatch.setattr("impasto.estimate._time_evaluation", seconds)
    cost = measure_cost(transfer)
    assert timed == [32, 110]  # the pixels that the result has, 96 x 128
    assert (cost.fixed["tiny"], cost.per_pixel["tiny"]) == (pytest.approx(0.01), pytest.approx(1e-6))


def test_what_is_fixed_comes_once_for_each_octave_that_there_is():
    cost = Cost({"vgg19": 1.0}, {"vgg19": 0.0}, octaves=3)
    sides = [cost.of_evaluation(Level((side, side), (side, side), 1)) for side in (64, 100, 400)]
    assert sides == [1.0, 2.0, 3.0]
    assert cost.of_evaluation(Level((400, 400), (100, 100), 1)) == 2.0


def test_what_is_handed_back_costs_time():
    level = Level((400, 400), (400, 400), 1)
    tight = replace(COST, hands_back=lambda _: True, handed_back={"vgg19": 1.6})
    kept, handed_back = (cost.of_evaluation(level) for cost in (COST, tight))
    fixed = COST.fixed["vgg19"]
    assert handed_back - fixed == pytest.approx(1.6 * (kept - fixed))


def test_how_much_longer_that_takes_is_timed_where_it_is_done(transfer, monkeypatch):
    def seconds(_transfer: Transfer, _network: Extractor, side: int, *, hands_back: bool = False) -> float:
        return side**2 * (1.5e-6 if hands_back else 1e-6)

    monkeypatch.setattr("impasto.estimate._time_evaluation", seconds)
    monkeypatch.setattr("impasto.footprint.Footprint.keeps_freed", lambda *_: True)
    assert measure_cost(transfer).handed_back == {"tiny": 1.0}
    monkeypatch.setattr("impasto.footprint.Footprint.hands_back", lambda *_: True)
    assert measure_cost(transfer).handed_back == {"tiny": pytest.approx(1.5)}
    monkeypatch.setattr("impasto.estimate._time_evaluation", None)  # it is kept now
    assert known_cost(transfer).handed_back == {"tiny": pytest.approx(1.5)}


def test_noise_in_the_clock_gives_no_negative_times(transfer, monkeypatch):
    monkeypatch.setattr("impasto.estimate._time_evaluation", lambda _transfer, _network, side: 1.0 / side)
    cost = measure_cost(transfer)
    assert cost.per_pixel["tiny"] == 0
    assert cost.fixed["tiny"] > 0


PLANNED = [
    Level((64, 96), (60, 96), 60),
    Level((128, 192), (120, 192), 45),
    Level((256, 384), (240, 384), 30),
    Level((512, 768), (480, 768), 15),
]


def test_what_a_level_costs_is_found_out_once() -> None:
    asked: list[Level] = []

    def longer(level: Level) -> float:
        asked.append(level)
        return 2.0

    cost, levels = Cost({"vgg19": 0.0}, {"vgg19": 1.0}, longer=longer), [Level((4, 4), (4, 4), 3)]
    assert cost.of_levels(levels) == cost.of_levels(levels)
    assert asked == levels


COST = Cost({"vgg19": 0.002}, {"vgg19": 1e-6})

costs = st.builds(
    lambda fixed, per_pixel: Cost({"vgg19": fixed}, {"vgg19": per_pixel}), st.floats(0, 0.1), st.floats(1e-9, 1e-4)
)


@given(costs, st.floats(0.01, 1e5))
def test_a_fitted_run_ends_in_time_though_the_estimate_is_15_percent_short(cost: Cost, seconds: float) -> None:
    levels = fit_levels(PLANNED, cost, seconds)
    improved = [level for level in levels if level.iterations > 1]
    assert cost.of_levels(improved) * 1.15 <= seconds * (1 + 1e-9)
    assert [(level.size, level.style_size) for level in levels] == [(level.size, level.style_size) for level in PLANNED]
    assert all(level.iterations >= 1 for level in levels)
    assert levels[: len(improved)] == improved, "the coarse sizes come first"


@given(costs, st.floats(0.01, 1e5))
def test_a_fitted_run_takes_the_time_it_has(cost: Cost, seconds: float) -> None:
    levels = fit_levels(PLANNED, cost, seconds)
    improved = [level for level in levels if level.iterations > 1]
    if not improved or improved[-1].iterations == MOST_EVALUATIONS:
        return
    rounded_off = sum(cost.of_evaluation(level) for level in improved)
    assert cost.of_levels(improved) + rounded_off >= seconds / SPARE * (1 - 1e-9)


def test_all_sizes_get_more_or_fewer_evaluations_in_the_same_proportion() -> None:
    estimate = COST.of_levels(PLANNED)
    for share in (0.4, 1.0, 3.0, 10.0):
        levels = fit_levels(PLANNED, COST, SPARE * share * estimate)
        finest = levels[-1].iterations
        assert finest == pytest.approx(share * PLANNED[-1].iterations, rel=0.2)
        for level, planned in zip(levels, PLANNED, strict=True):
            assert level.iterations / planned.iterations == pytest.approx(finest / 15, abs=1 / 15)


def test_in_a_short_time_the_coarse_sizes_are_improved_and_the_full_one_is_only_looked_at() -> None:
    full = COST.of_evaluation(PLANNED[-1])
    levels = fit_levels(PLANNED, COST, 2 * full)
    assert levels[-1].iterations == 1
    assert all(level.iterations > 1 for level in levels[:-1])
    assert COST.of_levels(levels[:-1]) == pytest.approx(2 * full / SPARE, rel=0.2)


def test_no_time_at_all_leaves_one_evaluation_a_size() -> None:
    assert [level.iterations for level in fit_levels(PLANNED, COST, 1e-6)] == [1, 1, 1, 1]
    assert [level.iterations for level in fit_levels(PLANNED, COST, -1.0)] == [1, 1, 1, 1]


def test_there_is_a_number_of_evaluations_beyond_which_more_time_is_of_no_use() -> None:
    assert fit_levels(PLANNED, COST, 1e9)[-1].iterations == MOST_EVALUATIONS
    planned = [Level((512, 512), (512, 512), 1000)]
    assert fit_levels(planned, COST, 1e9)[-1].iterations == 1000, "someone asked for these"


def test_time_that_is_left_is_spent_at_the_full_size() -> None:
    levels = fit_levels(PLANNED, COST, 10.0)
    assert open_ended(levels)[:-1] == levels[:-1]
    assert open_ended(levels)[-1].iterations == MOST_EVALUATIONS
    planned = [Level((512, 512), (512, 512), 1000)]
    assert open_ended(planned) == planned


def test_the_time_of_the_next_evaluation_follows_the_pace_of_the_last_one() -> None:
    levels = [Level((10, 20), (20, 20), 3), Level((20, 40), (40, 40), 2)]
    steps = [
        _step(level, place, index) for place, level in enumerate(levels) for index in range(1, level.iterations + 1)
    ]
    pace = 1.7
    took = [
        pace * (COST.of_evaluation(level) + (COST.of_targets(level) if index == 1 else 0))
        for level in levels
        for index in range(1, level.iterations + 1)
    ]
    expected = [seconds_of_next(levels, COST, step, time) for step, time in zip(steps, took, strict=True)]
    assert expected == pytest.approx([*took[1:], 0.0])


def _step(level: Level, place: int, index: int) -> Step:
    pixels = torch.zeros(1, 3, *level.size)
    return Step(pixels, Evaluation(torch.zeros(()), pixels), index, level.iterations, level=place)


TWO = Cost({"vgg19": 0.0, "compact": 0.0}, {"vgg19": 1e-5, "compact": 1e-6})
PREPARED = [
    Level((128, 128), (128, 128), 40, "compact"),
    Level((256, 256), (256, 256), 20, "compact"),
    Level((256, 256), (256, 256), 20, "vgg19"),
]


def test_each_level_costs_what_its_network_takes() -> None:
    assert TWO.of_evaluation(PREPARED[2]) == pytest.approx(10 * TWO.of_evaluation(PREPARED[1]))
    assert TWO.of_targets(PREPARED[2]) == pytest.approx(10 * TWO.of_targets(PREPARED[1]))
    assert TWO.of_levels(PREPARED) == pytest.approx(sum(map(TWO.of_level, PREPARED)))


def test_in_a_short_time_the_student_does_all_and_the_teacher_only_looks() -> None:
    levels = fit_levels(PREPARED, TWO, 1.5 * TWO.of_evaluation(PREPARED[2]))
    assert levels[-1].iterations == 1
    assert levels[1].iterations > 1


def test_the_time_of_the_next_evaluation_knows_who_is_next() -> None:
    last = _step(PREPARED[1], 1, PREPARED[1].iterations)
    seconds = seconds_of_next(PREPARED, TWO, last, TWO.of_evaluation(PREPARED[1]))
    assert seconds == pytest.approx(TWO.of_evaluation(PREPARED[2]) + TWO.of_targets(PREPARED[2]))
