"""What README and its neighbors say is run as it stands there, on small pictures; and their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SMALL = ("--size", "48", "--num-iterations", "1", "--coarse-iterations", "0")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    line.partition("#")[0].removeprefix(".venv/bin/")
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith(".venv/bin/impasto ")
]
FLAGS = [flag for row in README.splitlines() if row.startswith("| `--") for flag in re.findall(r"`(--[^`]+)`", row)]


@pytest.fixture
def pictures(folder: Path) -> Path:
    """The names that README uses."""
    with Image.open("painting.png") as painting:
        painting.save("painting.jpg")
    Path("look.toml").write_text("style_scale = 0.5\n")
    return folder


def test_readme_has_what_is_tested_here():
    assert COMMANDS
    assert len(FLAGS) >= 8
    assert blocks("python")


def test_the_commands_of_readme_run_one_after_another(cli, pictures):
    for command in COMMANDS:
        _, *arguments = shlex.split(command)
        outcome = cli(*arguments, *(SMALL if arguments[0] == "stylize" else ()))
        assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("flag", FLAGS)
def test_each_option_of_readme_is_taken(flag: str, cli, pictures):
    words = shlex.split(flag)
    value = [] if len(words) > 1 or flag in ("--show",) else ["1"]
    outcome = cli("stylize", "photo.jpg", "painting.jpg", "-o", "out.png", *words, *value, *SMALL)
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("code", blocks("python"))
def test_each_piece_of_python_in_readme_runs(code: str, pictures, capsys):
    smaller = re.sub(r"size=\d+", "size=48", code)
    assert smaller != code
    exec(smaller, {})  # it is our own text
    assert Path("painted.png").exists()


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []
