"""Recorded evaluations: a stand-in for CUDA graphs computes into the same memory from the same memory, on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import impasto.steps
from impasto.objective import Evaluate, Evaluation
from impasto.replay import RECORDED_AT, Recorder, Replayed, Tensors, replayed
from impasto.steps import Steps
from impasto.transfer import Transfer


def parabola(pixels: Tensor) -> Evaluation:
    terms = {"square": (pixels**2).sum(), "sum": pixels.sum()}
    return Evaluation(terms["square"] + terms["sum"], 2 * pixels + 1, terms)


def in_place(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    results = compute()

    def replay() -> None:
        for result, fresh in zip(results, compute(), strict=True):
            result.copy_(fresh)

    return results, replay


def refused(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    raise RuntimeError("operation not permitted when stream is capturing")


def always_the_same(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    gradient, numbers = compute()
    gradient *= 2
    return (gradient, numbers), lambda: None


def points() -> list[Tensor]:
    return [torch.full((1, 3, 4, 4), float(number)) for number in range(1, 8)]


@pytest.mark.parametrize("record", [in_place, refused, always_the_same])
def test_every_evaluation_is_what_it_would_be_without(record: Recorder) -> None:
    evaluate = Replayed(parabola, record)
    found = [evaluate(point) for point in points()]
    for evaluation, point in zip(found, points(), strict=True):  # after all of them: none was written over
        expected = parabola(point)
        assert torch.equal(evaluation.gradient, expected.gradient)
        assert torch.equal(evaluation.loss, expected.loss)
        assert evaluation.terms == expected.terms


def test_it_is_recorded_once_when_all_is_warm() -> None:
    recorded, seen = [], []

    def counted(pixels: Tensor) -> Evaluation:
        seen.append(pixels)
        return parabola(pixels)

    def record(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        recorded.append(len(seen))
        return in_place(compute)

    evaluate = Replayed(counted, record)
    for point in points():
        evaluate(point)
    assert recorded == [RECORDED_AT]
    assert all(pixels is seen[RECORDED_AT] for pixels in seen[RECORDED_AT:])  # read from one place from then on


def test_a_whole_run_is_the_same(make_transfer: Callable[..., Transfer], monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = make_transfer()
    transfer = transfer.with_levels([replace(level, tile=0) for level in transfer.levels])
    usual = list(Steps(transfer))

    def in_place_everywhere(evaluate: Evaluate, pixels: Tensor, *, in_tiles: bool) -> Evaluate:
        assert not in_tiles
        return Replayed(evaluate, in_place)

    monkeypatch.setattr(impasto.steps, "replayed", in_place_everywhere)
    again = list(Steps(transfer))
    assert [step.terms for step in again] == [step.terms for step in usual]
    assert torch.equal(again[-1].image, usual[-1].image)


def test_only_what_is_launched_on_a_device_is_recorded() -> None:
    assert replayed(parabola, torch.zeros(1, 3, 4, 4)) is parabola


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA device")
def test_cuda_graphs_compute_the_same(make_transfer: Callable[..., Transfer]) -> None:
    from impasto.replay import on_cuda

    evaluate, start = Replayed(parabola, on_cuda), torch.rand(1, 3, 32, 32, device="cuda")
    found = [evaluate(start * number) for number in range(6)]
    assert evaluate._recording is not None
    for number, evaluation in enumerate(found):
        torch.testing.assert_close(evaluation.gradient, parabola(start * number).gradient)
