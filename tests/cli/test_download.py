from __future__ import annotations

import json

import pytest

from impasto.cli.download import download_progress
from impasto.weights import Received

TOTAL = 2_000_000


def report_all(kind: str) -> None:
    """A download in a thousand pieces, with a word in between."""
    with download_progress(kind) as report:
        for number in range(1001):
            report(Received("vgg19", number * TOTAL // 1000, TOTAL))
            if number == 500:
                report(Received("vgg19", TOTAL // 2, TOTAL, "trying again in 1 s. [no markup]"))


def test_lines_where_nobody_looks_at_a_terminal(capsys):
    report_all("auto")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Downloading vgg19: 0 kB of 2 MB",
        "Downloading vgg19: 400 kB of 2 MB",
        "Downloading vgg19: 800 kB of 2 MB",
        "trying again in 1 s. [no markup]",
        "Downloading vgg19: 1 MB of 2 MB",
        "Downloading vgg19: 2 MB of 2 MB",
        "Downloading vgg19: 2 MB of 2 MB",
    ]


@pytest.mark.parametrize(("terminal", "drawn"), [("xterm", True), ("dumb", False)])
def test_a_bar_only_where_a_line_can_be_redrawn(terminal, drawn, capsys, monkeypatch):
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    report_all("auto")
    assert ("Downloading vgg19: 400 kB of 2 MB" in capsys.readouterr().err) != drawn


def test_a_line_for_a_download_of_unknown_length(capsys):
    with download_progress() as report:
        for number in range(5):
            report(Received("vgg19", number, 0))
    assert capsys.readouterr().err == "Downloading vgg19: 0 kB\n"


def test_objects_for_programs(capsys):
    report_all("json")
    objects = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(objects) == 102
    assert objects[0] == {"download": "vgg19", "bytes": 0, "of": TOTAL}
    assert objects[-1] == {"download": "vgg19", "bytes": TOTAL, "of": TOTAL}
    assert {"note": "trying again in 1 s. [no markup]"} in objects


def test_nothing_when_quiet(capsys):
    report_all("none")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("colors", [True, False])
def test_a_bar_for_people(colors, capsys, monkeypatch):
    for name, value in (("TERM", "xterm"), ("FORCE_COLOR", "1"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colors:
        monkeypatch.setenv("NO_COLOR", "1")
    report_all("bar")
    captured = capsys.readouterr()
    assert captured.out == ""
    for text in ("vgg19", "2.0/2.0 MB", "trying again in 1 s. [no markup]"):
        assert text in captured.err
    assert ("\x1b[3" in captured.err) == colors


def test_a_reader_who_goes_away_does_not_end_the_download(monkeypatch):
    def gone(*arguments, **options):
        raise BrokenPipeError

    monkeypatch.setattr("typer.echo", gone)
    for kind in ("auto", "json"):
        report_all(kind)
