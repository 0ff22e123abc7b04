"""What the pages of docs say is run as it stands there, on small pictures, a block in a folder of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from impasto.cli import keeper
from impasto.cli.progress import LineProgress

from .conftest import TINY, Cli, write_picture
from .test_documentation import SMALL

ROOT = Path(__file__).parents[2]
PUBLISHED = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
OTHER_COMMANDS = ("python3 -m venv .venv", "source .venv/bin/activate", "pip install ", "cd ")
"""What stands in the pages besides commands of impasto: how it is installed."""

SMALL_AGAIN = ("--set", "size=48", "--set", "num_iterations=1", "--set", "coarse_iterations=0")


@dataclass(frozen=True)
class Block:
    """A piece of code on a page."""

    page: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip() and not line.startswith("#")]

    @property
    def needs_a_shell(self) -> bool:
        return any(sign in self.text for sign in ("|", ">", "for "))


def blocks(language: str) -> list[Block]:
    """Every block of that language, page by page."""
    pattern = rf"^```{language}\n(.*?)^```"
    pages = sorted((ROOT / "docs").glob("*.md"))
    return [
        Block(page.stem, text) for page in pages for text in re.findall(pattern, page.read_text(), re.DOTALL | re.M)
    ]


def name_of(block: Block) -> str:
    return f"{block.page}: {block.lines[0]}"


SHELL = [block for block in blocks("sh") if block.needs_a_shell]
COMMANDS = [block for block in blocks("sh") if not block.needs_a_shell]


@pytest.fixture
def pictures(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The names that the pages use, and no internet."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a command in docs went to the network")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    for name in ("painting.jpg", "other.jpg"):
        write_picture(folder / name, (60, 60), horizontal=True)
    for name in ("Pictures", "Paintings"):
        (Path.home() / name).mkdir(parents=True)  # a home of the test's own: see bare_machine
    (folder / "photos").mkdir()
    for name in ("one.jpg", "two.jpg"):
        write_picture(folder / "photos" / name, (64, 48))
    with Image.open("photo.jpg") as photo:
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
        photo.save("cutout.png")
    shutil.copy(Path(os.environ["IMPASTO_CACHE"]) / "weights" / "vgg19.safetensors", PUBLISHED)
    (toml,) = blocks("toml")
    Path("look.toml").write_text(toml.text)
    return folder


def make_results(block: Block, cli: Cli) -> None:
    """The pictures and checkpoints that a block takes for granted, because another one on the page makes them."""
    if block.text.startswith("impasto resume"):
        break_off(cli, block.lines[0].split()[2:])
    for name in ("painted.png", "photo_painting.png"):
        if name in block.text and f"-o {name}" not in block.text:
            assert cli("stylize", "photo.jpg", "painting.jpg", "-o", name, *SMALL).code == 0


def break_off(cli: Cli, named: list[str]) -> None:
    """Leave a checkpoint behind, in the cache or with a name."""

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "AUTOMATIC", 0.0)
        patch.setattr(LineProgress, "show", interrupt)
        words = ["--num-iterations", "3", "--coarse-network", "none", *(["--checkpoint", *named] if named else [])]
        assert cli("stylize", "photo.jpg", "painting.jpg", *SMALL, *words).code == 130


def made_short(arguments: list[str]) -> list[str]:
    """The same command for a small picture; the last one of an option counts."""
    command = arguments[0]
    if command in ("stylize", "demo"):
        return [*arguments, *SMALL, *(["--time", "0.5s"] if "--time" in arguments else [])]
    return [*arguments, *SMALL_AGAIN] if command == "rerun" and "--set" in arguments else arguments


def test_the_pages_have_what_is_tested_here():
    assert len(COMMANDS) > 10
    assert SHELL
    assert len(blocks("python")) > 5


@pytest.mark.parametrize("block", COMMANDS, ids=name_of)
def test_each_command_runs(block: Block, cli, pictures, monkeypatch):
    if ".mp4" in block.text:
        pytest.importorskip("av", reason="an .mp4 needs the extra video")
    make_results(block, cli)
    for line in block.lines:
        if line.startswith(OTHER_COMMANDS):
            continue
        words = shlex.split(line, comments=True)
        while "=" in words[0]:
            monkeypatch.setenv(*words.pop(0).split("=", 1))
        assert words[0] == "impasto", f"'{line}' is neither a command of impasto nor one that is known here"
        outcome = cli(*made_short(words[1:]))
        assert outcome.code == 0, outcome.err
        for option in ("-o", "--animate"):
            assert option not in words or Path(words[words.index(option) + 1]).is_file()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
@pytest.mark.parametrize("block", SHELL, ids=name_of)
def test_each_piece_of_shell_runs(block: Block, cli, pictures, tmp_path):
    make_results(block, cli)
    program = tmp_path / "bin" / "impasto"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from importlib import import_module\n"
        "from impasto.cli.app import run\n"
        "from impasto.networks import NETWORKS, Network\n"
        f"NETWORKS['vgg19'] = {TINY!r}\n"
        "import_module('impasto.prepare').VGG19 = NETWORKS['vgg19']\n"
        f"sys.exit(run([*sys.argv[1:], *{SMALL!r}]))\n"
    )
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    before = set(pictures.rglob("*"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {path for path in pictures.rglob("*") if path.is_file()} - before
    assert made
    for picture in made:
        with Image.open(picture) as image:
            assert max(image.size) == 48


@pytest.mark.parametrize("block", blocks("python"), ids=name_of)
def test_each_piece_of_python_runs(block: Block, pictures, capsys):
    if ".plot()" in block.text:
        pytest.importorskip("matplotlib", reason="plots need the extra report")
    smaller = re.sub(r'(size=|size = |"size": )\d+', r"\g<1>48", block.text)
    assert smaller != block.text or "size" not in block.text
    exec(smaller, {})  # it is our own text
    for name in re.findall(r'save(?:fig)?\("([^"]+)"', block.text):
        assert Path(name).is_file()


def test_each_extra_that_is_named_exists():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"'\.\[([\w,]+)\]'", "".join(page.read_text() for page in (ROOT / "docs").glob("*.md")))
    assert named
    assert {extra for names in named for extra in names.split(",")} <= declared.keys()


def test_inspect_prints_what_the_page_shows(cli, pictures):
    (sample,) = [block for block in blocks("text") if block.text.startswith("impasto:")]
    assert cli("stylize", "photo.jpg", "painting.jpg", "-o", "painted.png", *SMALL).code == 0
    printed = cli("inspect", "painted.png").out
    names = re.findall(r"^ *(\w+:)(?: |$)", sample.text, re.M)
    assert len(names) > 15
    assert [name for name in names if name not in printed] == []
