from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from impasto.errors import OptionError
from impasto.spec import MIN_SIDE, OutputOptions, RunOptions, StyleSpec, output_size, scaled_to_long_side
from impasto.validation import build

RECORDS: list[type[BaseModel]] = [StyleSpec, RunOptions, OutputOptions]
sides = st.integers(1, 20_000)


@pytest.mark.parametrize("record", RECORDS)
def test_every_option_has_a_help_text(record: type[BaseModel]) -> None:
    for name, field in record.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_an_option_is_in_one_record_only() -> None:
    names = [name for record in RECORDS for name in record.model_fields]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("record", RECORDS)
def test_defaults_pass_their_own_checks_and_survive_json(record: type[BaseModel]) -> None:
    assert record.model_validate_json(record().model_dump_json()) == record()


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        StyleSpec().strength = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given_size", "expected"),
    [(512, "512"), ("512", "512"), (" 640X480 ", "640x480"), ("0064", "64"), ("Original", "original")],
)
def test_sizes_are_written_in_one_way(given_size: Any, expected: str) -> None:
    assert build(StyleSpec, {"size": given_size}).size == expected


@pytest.mark.parametrize("size", ["", "big", -512, "512.5", "640x", "x480", "1x2x3", "640*480", None, [512]])
def test_what_is_no_size_is_refused_with_the_forms_there_are(size: Any) -> None:
    with pytest.raises(OptionError, match=r"--size is .*: expected the long side in pixels .*WIDTHxHEIGHT.*original"):
        build(StyleSpec, {"size": size})


@pytest.mark.parametrize("size", [MIN_SIDE - 1, f"512x{MIN_SIDE - 1}", 0, 999_999])
def test_a_size_out_of_range_is_refused_with_the_range(size: Any) -> None:
    with pytest.raises(OptionError, match=f"from {MIN_SIDE} to [0-9]+ pixels"):
        build(StyleSpec, {"size": size})


@pytest.mark.parametrize(
    "layers",
    [
        {"relu3_1": 1, "relu4_2": 0.5},
        "relu3_1,relu4_2=0.5",
        " relu3_1 = 1 , relu4_2=.5,",
        ["relu3_1", "relu4_2=0.5"],
    ],
)
def test_layers_have_three_forms(layers: Any) -> None:
    assert build(StyleSpec, {"content_layers": layers}).content_layers == {"relu3_1": 1.0, "relu4_2": 0.5}


@pytest.mark.parametrize("option", ["content_layers", "style_layers"])
@pytest.mark.parametrize(
    "layers", ["", [], {}, "relu1_1=x", "relu1_1=-1", "relu1_1=nan", {"relu1_1": "inf"}, "relu1_1=0", 5, None]
)
def test_layers_that_cannot_be_are_refused_by_name(option: str, layers: Any) -> None:
    with pytest.raises(OptionError, match="--" + option.replace("_", "-")):
        build(StyleSpec, {option: layers})


def test_coarse_iterations_may_be_a_text() -> None:
    assert build(StyleSpec, {"coarse_iterations": "2, 3.5"}).coarse_iterations == (2.0, 3.5)
    assert build(StyleSpec, {"coarse_iterations": ""}).coarse_iterations == ()


@pytest.mark.parametrize("value", ["x", "nan", "-1", "inf", 5, None])
def test_coarse_iterations_that_cannot_be_are_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="--coarse-iterations"):
        build(StyleSpec, {"coarse_iterations": value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("strength", -0.01),
        ("strength", 1.01),
        ("strength", float("nan")),
        ("content_weight", -1),
        ("style_weight", float("inf")),
        ("tv_weight", float("nan")),
        ("style_scale", 0),
        ("history", 0),
        ("learning_rate", 0),
        ("num_iterations", 0),
        ("num_iterations", 1.5),
        ("seed", -1),
        ("init", ""),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_flag(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"--{option.replace('_', '-')} is '.*'[:.] ."):
        build(StyleSpec, {option: value})


@pytest.mark.parametrize("strength", [0, 1])
def test_the_ends_of_a_range_belong_to_it(strength: float) -> None:
    assert build(StyleSpec, {"strength": strength}).strength == strength


def test_a_wrong_choice_is_refused_with_the_choices_and_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"--optimizer is 'adm'\. Did you mean 'adam'\? Choose from lbfgs, adam\."):
        build(StyleSpec, {"optimizer": "adm"})


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no option 'strenght'\. Did you mean 'strength'\?.*num_iterations"):
        build(StyleSpec, {"strenght": 1})


@given(sides, sides, st.integers(MIN_SIDE, 8192))
def test_the_long_side_is_the_size_and_the_proportions_stay(height: int, width: int, size: int) -> None:
    try:
        result = output_size(build(StyleSpec, {"size": size}), (height, width))
    except OptionError:
        assert round(size * min(height, width) / max(height, width)) < MIN_SIDE
        return
    assert max(result) == size
    assert min(result) >= MIN_SIDE
    assert (result[0] > result[1]) <= (height > width)
    assert result[0] * width == pytest.approx(result[1] * height, abs=0.5 * max(height, width))


@given(sides, sides, st.integers(MIN_SIDE, 8192))
def test_the_size_that_the_error_proposes_works(height: int, width: int, size: int) -> None:
    try:
        output_size(build(StyleSpec, {"size": size}), (height, width))
    except OptionError as error:
        if proposals := re.findall(r"--size (\d+)", str(error)):
            assert min(output_size(build(StyleSpec, {"size": proposals[0]}), (height, width))) >= MIN_SIDE
        else:  # no size that is allowed would do
            assert MIN_SIDE * max(height, width) > 65_500 * min(height, width)


@pytest.mark.parametrize("photo", [(1, 1), (MIN_SIDE - 1, 4000), (4000, 1)])
def test_a_photo_below_the_minimum_is_refused_with_what_it_would_become(photo: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match=rf"photo of {photo[1]} x {photo[0]} pixels .*{MIN_SIDE} pixels at least"):
        output_size(build(StyleSpec, {"size": "original"}), photo)


def test_original_keeps_the_size() -> None:
    assert output_size(build(StyleSpec, {"size": "original"}), (123, 77)) == (123, 77)


def test_width_and_height_may_be_given() -> None:
    assert output_size(build(StyleSpec, {"size": "64x48"}), (1, 999)) == (48, 64)


@given(sides, sides, st.integers(1, 10_000))
def test_scaling_never_gives_an_empty_picture(height: int, width: int, long_side: int) -> None:
    size = scaled_to_long_side((height, width), long_side)
    assert max(size) == long_side
    assert min(size) >= 1
