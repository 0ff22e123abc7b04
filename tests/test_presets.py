from __future__ import annotations

import copy

import pytest

from impasto.errors import OptionError
from impasto.presets import PRESETS, get_preset, resolve_spec
from impasto.spec import StyleSpec


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_valid_spec(preset: str) -> None:
    spec = resolve_spec(preset)
    assert {key: getattr(spec, key) for key in PRESETS[preset]} == PRESETS[preset]


def test_the_standard_preset_is_the_defaults() -> None:
    assert resolve_spec() == resolve_spec("standard") == StyleSpec()


def test_presets_differ_in_their_effort() -> None:
    efforts = [resolve_spec(preset).num_iterations for preset in ("draft", "standard", "fine")]
    assert efforts == sorted(set(efforts))


def test_later_overrides_lie_on_top_of_earlier_ones_and_of_the_preset() -> None:
    file, flag = {"num_iterations": 7, "strength": 0.9}, {"num_iterations": 8}
    spec = resolve_spec("draft", file, flag)
    assert (spec.num_iterations, spec.strength) == (8, 0.9)
    assert resolve_spec("draft", flag, file).num_iterations == 7


def test_resolving_leaves_the_presets_as_they_are() -> None:
    before = copy.deepcopy(PRESETS)
    resolve_spec("classic", {"tv_weight": 9})
    assert before == PRESETS


def test_classic_is_what_neural_style_pt_does() -> None:
    spec = resolve_spec("classic")
    assert (spec.content_weight, spec.style_weight, spec.tv_weight) == (5.0, 100.0, 1e-3)
    assert (spec.padding, spec.pooling, spec.coarse_iterations) == ("zeros", "max", ())
    assert spec.content_layers == {"relu4_2": 1.0}
    assert spec.style_layers == {f"relu{block}_1": 1.0 for block in range(1, 6)}


def test_an_unknown_preset_is_refused_with_the_choices_and_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no preset 'fin'\. Did you mean 'fine'\? .*draft, standard, fine, classic"):
        get_preset("fin")


def test_an_override_that_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="--strength is '2'"):
        resolve_spec("draft", {"strength": 2})
