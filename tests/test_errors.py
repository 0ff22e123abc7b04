from __future__ import annotations

import pytest

from impasto import errors
from impasto.errors import ImpastoError, did_you_mean

EXIT_CODES = {
    "ImpastoError": 1,
    "OptionError": 2,
    "InputError": 2,
    "OutputError": 2,
    "MissingError": 3,
    "MissingWeightsError": 3,
    "MissingExtraError": 3,
}


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_has_one_root_an_exit_code_and_its_place_in_the_tree(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, ImpastoError)
    assert error.exit_code == EXIT_CODES[name]
    assert errors.__doc__ is not None
    assert name in errors.__doc__


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.MissingExtraError, ImportError)


@pytest.mark.parametrize(
    ("word", "hint"),
    [("strenght", " Did you mean 'strength'?"), ("STRENGTH", " Did you mean 'strength'?"), ("xyz", "")],
)
def test_the_nearest_choice_is_proposed_if_it_is_near(word: str, hint: str) -> None:
    assert did_you_mean(word, ["strength", "size"]) == hint
