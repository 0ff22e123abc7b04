"""Finished pictures beside the yardstick's, in sizes at which nothing can be seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.parity import Yardstick, main, rows


def test_the_table_has_medians_and_ranges() -> None:
    lines = list(rows([{"standard": {"time": seconds}} for seconds in (0.1, 0.2, 0.6)]))
    assert lines[-1] == "| standard | time | 0.200 | 0.100 | 0.600 |"


@pytest.mark.weights
def test_the_yardstick_is_run_once_and_all_is_compared_with_it(
    vgg19: object, real_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    arguments = [str(real_images), str(tmp_path), str(results), "--pairs", "1", "--size", "96", "--evaluations", "20"]
    main([*arguments, "--only-baseline"])
    (note,) = (tmp_path / "baseline").glob("*.json")
    first = json.loads(note.read_text())
    assert len(first["losses"]) == 20
    assert first["saved"] < first["losses"][0]
    main([*arguments, "--shares", "1", "--strengths", "0.4", "0.6"])
    entry = json.loads(note.read_text())
    assert entry["losses"] == first["losses"]
    assert entry["seconds"] > 0
    found = json.loads(results.read_text())["found"]
    assert found["classic, 1/1"]["loss"] < first["losses"][0] / first["saved"]
    assert found["standard"]["style_error_quarter"] > 0
    table = capsys.readouterr().out
    assert "| standard | time |" in table
    note.unlink()  # what was compared once is not looked at again
    main([*arguments, "--shares", "1", "--strengths", "0.4", "0.6"])
    assert capsys.readouterr().out == table
    assert len(results.read_text().splitlines()) == 1
    assert Yardstick(("a", "b"), (Path(), Path()), 96, tmp_path).file("png").name == "a_b.png"
