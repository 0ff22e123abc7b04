"""What a shell and a terminal expect: completion, colors only where they are wanted, paths of other systems."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from impasto.image.formats import format_of
from impasto.image.paths import expanded

COLOR = re.compile(r"\x1b\[[0-9;]*m")
HUE = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;)")


def impasto(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "impasto", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"} | environment,
    )


def completed(*words: str) -> list[str]:
    """What bash is proposed for the last of ``words``."""
    line = " ".join(("impasto", *words))
    done = impasto(_IMPASTO_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words)))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (("st",), ["stylize"]),
        (("re",), ["resume", "rerun"]),
        (("stylize", "a", "b", "--preset", "d"), ["draft"]),
        (("stylize", "a", "b", "--color", ""), ["style", "content", "match"]),
        (("stylize", "a", "b", "--format", "w"), ["webp"]),
        (("stylize", "a", "b", "--network", "vgg"), ["vgg19", "vgg19-torchvision"]),
        (("stylize", "a", "b", "--stren"), ["--strength"]),
        (("demo", "--progress", "j"), ["json"]),
    ],
)
def test_the_shell_completes(words, proposed):
    assert completed(*words) == proposed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_is_there_for(shell):
    done = impasto(_IMPASTO_COMPLETE=f"source_{shell}")
    assert "impasto" in done.stdout
    assert done.returncode == 0


def test_help_has_colors_only_where_they_are_wanted():
    assert HUE.search(impasto("stylize", "--help", FORCE_COLOR="1").stdout)
    assert not HUE.search(impasto("stylize", "--help", FORCE_COLOR="1", NO_COLOR="1").stdout)
    assert not COLOR.search(impasto("stylize", "--help").stdout)


@pytest.mark.parametrize(
    "command",
    ["stylize", "demo", "plan", "resume", "enlarge", "rerun", "inspect", "evaluate", "doctor", "weights", "cache"],
)
def test_help_of_every_command_has_examples(command, cli):
    shown = cli(command, "--help").out
    assert re.search(rf"Examples?:\s+impasto {command}", shown)


def test_paths_of_windows_are_no_addresses():
    for text in (
        r"C:\Users\me\photo.jpg",
        "C:/Users/me/photo.jpg",
        r"\\server\share\photo.jpg",
        "photo:1.jpg",
        "c://x",
    ):
        assert str(expanded(text)).replace("/", "") == text.replace("/", "")


@pytest.mark.parametrize("kind", [PureWindowsPath, PurePosixPath])
def test_formats_go_by_the_extension_on_every_system(kind):
    for text in (r"C:\out\A.PNG", "/out/Ä.PNG", "out.d/a.png"):
        assert format_of(kind(text)).key == "png"
