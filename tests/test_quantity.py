from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.quantity import parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        ("60s", 60),
        ("90 s", 90),
        ("0.5s", 0.5),
        (".5", 0.5),
        (" 45sec ", 45),
        ("1.5m", 90),
        ("2min", 120),
        ("2 Minutes", 120),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1 h 20 min", 4800),
        ("1h30m15s", 5415),
        ("2m 30s", 150),
        ("1h5s", 3605),
        ("90m", 5400),
    ],
)
def test_a_time_is_read_as_it_is_written(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@given(st.integers(0, 50), st.integers(0, 90), st.integers(1, 90))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_seconds(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "soon", "-5", "-5s", "0", "0s", "0h0m", "inf", "nan", "1e3", "9" * 400),
        *("1h30", "30m1h", "5s5s", "1..5s", "1.s", "1,5m", "10d", "5x", "1 2", "٣s"),
    ],
)
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time above 0, such as 60s, .*1h30m$"):
        parse_seconds(text)
