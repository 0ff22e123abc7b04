from __future__ import annotations

import pytest

from impasto.estimate import Cost, measure_cost
from impasto.pyramid import Level
from impasto.spec import RunOptions, StyleSpec
from impasto.stylize import Transfer


def test_cost_is_summed_over_levels():
    cost = Cost(fixed=1.0, per_pixel=0.01)
    small, large = Level((10, 10), (10, 20), 4), Level((20, 20), (10, 20), 2)
    assert cost.of_evaluation(100) == pytest.approx(2.0)
    assert cost.of_level(small) == pytest.approx((2.0 + 2.0) / 3 + 4 * 2.0)
    assert cost.of_levels([small, large]) == pytest.approx(cost.of_level(small) + (5.0 + 2.0) / 3 + 2 * 5.0)


@pytest.fixture
def transfer(extractor, photo, painting):
    """A run on the tiny network, two sizes."""
    from impasto.device import resolve_machine

    levels = (Level((48, 64), (48, 64), 3), Level((96, 128), (96, 128), 2))
    spec, machine = StyleSpec(), resolve_machine(RunOptions(device="cpu", precision="fp32"))
    return Transfer(photo, painting, photo, spec, machine, levels, extractor)


def test_a_measured_cost_is_a_time(transfer):
    cost = measure_cost(transfer)
    assert cost.fixed >= 0
    assert cost.per_pixel >= 0
    assert cost.of_levels(transfer.levels) > 0


def test_larger_pictures_are_timed_until_an_evaluation_takes_long_enough(transfer, monkeypatch):
    timed = []

    def seconds(_: Transfer, side: int) -> float:
        timed.append(side)
        return 0.01 + 1e-6 * side**2

    monkeypatch.setattr("impasto.estimate._time_evaluation", seconds)
    cost = measure_cost(transfer)
    assert timed == [32, 160]  # the result has a long side of 128 pixels
    assert (cost.fixed, cost.per_pixel) == (pytest.approx(0.01), pytest.approx(1e-6))


def test_noise_in_the_clock_gives_no_negative_times(transfer, monkeypatch):
    monkeypatch.setattr("impasto.estimate._time_evaluation", lambda _, side: 1.0 / side)
    cost = measure_cost(transfer)
    assert cost.per_pixel == 0
    assert cost.fixed > 0
