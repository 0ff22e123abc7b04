"""The documentation is whole: it builds without warnings, says something of every option, and leads nowhere wrong."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from typer.main import get_command

import impasto
from impasto.cli.app import app
from impasto.device import Machine
from impasto.footprint import Footprint
from impasto.image.formats import FORMATS
from impasto.networks import NETWORKS, VGG19
from impasto.presets import PRESETS
from impasto.pyramid import Level
from impasto.spec import OutputOptions, RunOptions, StyleSpec

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {page.stem: page.read_text() for page in sorted(DOCS.glob("*.md"))}
PICTURES = sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "images" / "options").glob("*"))
FIELDS = [name for model in (StyleSpec, RunOptions, OutputOptions) for name in model.model_fields]
FLAGS = [param.opts[0] for param in get_command(app).commands["stylize"].params if param.opts[0].startswith("--")]
SWITCHED_OFF = {"--metadata": "--no-metadata"}
NEEDED = {"sphinx": "Sphinx", "myst_parser": "MyST-Parser", "furo": "Furo"}
MISSING = [name for module, name in NEEDED.items() if find_spec(module) is None]


def rows(page: str) -> list[list[str]]:
    """The cells of every row of every table."""
    lines = [line for line in PAGES[page].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} is missing: pip install '.[docs]'")
def test_builds_without_warnings(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    done = subprocess.run([*command, DOCS, tmp_path / "html"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "html").glob("*.html")} >= PAGES.keys()
    options = (tmp_path / "html" / "options.html").read_text()
    assert [name for name in FIELDS if f"--{name.replace('_', '-')}" not in options] == []


def test_the_script_builds_in_the_same_way():
    script = (ROOT / "scripts" / "docs").read_text()
    assert "sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs" in script


@pytest.mark.parametrize("flag", FLAGS)
def test_the_page_of_options_says_something_of_each(flag: str):
    assert re.search(rf"`{SWITCHED_OFF.get(flag, flag)}[` ]", PAGES["options"])


def test_every_option_has_a_flag():
    assert {f"--{name.replace('_', '-')}" for name in FIELDS} <= set(FLAGS)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_of_options_says_something_of_each_preset(preset: str):
    assert f"- `{preset}` " in PAGES["options"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_page_of_formats_has_each_format(name: str):
    (row,) = [row for row in rows("formats") if row[0].lower() == name and len(row) > 3]
    _, _, written, quality, alpha, depth, profile = row
    format = FORMATS[name]
    assert written.replace("`", "").split() == list(format.extensions)
    assert format.quality is None or re.match(rf"{format.quality}\b", quality)
    assert ("white" in alpha) == (not format.keeps_alpha)
    assert ("16" in depth) == format.keeps_16_bits
    assert (profile == "kept") == format.keeps_profile
    has_limit = f"{name} {format.longest_side:,}" in PAGES["formats"].lower()
    assert has_limit == (format.longest_side < 2**31 - 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_of_weights_has_each_network(name: str):
    network = NETWORKS[name]
    (row,) = [row for row in rows("weights") if row[0].startswith(f"`{name}`")]
    assert row[1].startswith("none" if network.is_built_in else f"{network.size / 1e6:.0f} MB")
    assert network.licence.split(",")[0] in row[2]
    assert network.source in PAGES["weights"]


@pytest.mark.parametrize("name", [name for name in impasto.__all__ if name != "__version__"])
def test_the_reference_has_each_public_name(name: str):
    assert re.search(rf":: impasto\.{name}\b", PAGES["reference"])


def messages() -> Iterator[str]:
    """Every text in the program, with … for what is put in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_messages_to_be_looked_up_exist():
    said = "\n".join(messages())
    quoted = [row[0].strip("`") for row in rows("troubleshooting") if row[0].startswith("`") and "…" in row[0]]
    assert len(quoted) > 20
    assert [text for text in quoted if text.strip("… ") not in said] == []


def test_the_memory_that_is_named_is_the_predicted_one():
    named = [row for row in rows("troubleshooting") if row[0].isdecimal() and len(row) == 3]
    assert len(named) == 3
    for side, *figures in named:
        size = (int(side) * 3 // 4, int(side))
        for dtype, figure in zip((torch.float32, torch.bfloat16), figures, strict=True):
            machine = Machine(torch.device("cpu"), dtype)
            footprint = Footprint(StyleSpec(), machine, {"vgg19": VGG19}, 3 * 2 * size[0] * size[1])
            predicted = footprint.least_of_level(Level(size, size, 40))
            assert figure == f"{predicted / 1e9:.1f} GB"


def test_every_module_and_benchmark_has_its_place_in_the_listing():
    listing = (ROOT / "CONTRIBUTING.md").read_text()
    modules = [path.name for path in (ROOT / "src" / "impasto").glob("*.py") if not path.name.startswith("__")]
    benchmarks = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()]
    assert len(modules) > 30
    assert len(benchmarks) > 6
    assert [name for name in (*modules, *benchmarks) if f"`{name}`" not in listing] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page: str):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page])
    assert [target for target in targets if "://" not in target and not (DOCS / target).exists()] == []


def test_every_picture_is_shown():
    everything = "".join(PAGES.values())
    assert PICTURES
    assert [picture for picture in PICTURES if picture not in everything] == []


def test_the_pictures_are_small():
    sizes = {picture: (DOCS / picture).stat().st_size for picture in PICTURES}
    assert {picture: size for picture, size in sizes.items() if size > 30_000} == {}
    assert sum(sizes.values()) < 1_000_000
