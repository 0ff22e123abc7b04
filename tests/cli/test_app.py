from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

import impasto
from impasto.__main__ import main
from impasto.cli.app import run


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_help_does_not_import_torch():
    lines = [
        ["--help"],
        ["stylize", "--help"],
        ["weights", "--help"],
        ["doctor", "--help"],
        ["demo", "--help"],
        ["evaluate", "--help"],
        [],
    ]
    code = (
        "import sys; from impasto.cli.app import run;"
        f" print([run(line) for line in {lines!r}], 'torch' in sys.modules, file=sys.stderr)"
    )
    assert python("-c", code).stderr == "[0, 0, 0, 0, 0, 0, 0] False\n"


def test_python_m_impasto():
    done = python("-m", "impasto", "--version")
    assert (done.returncode, done.stdout) == (0, f"impasto {impasto.__version__}\n")


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_threads_that_wait_leave_their_core_to_others_unless_told_otherwise(monkeypatch, given, spins):
    found = []
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr("impasto.cli.app.main", lambda: found.append(os.environ.get("GOMP_SPINCOUNT")))
    main()
    assert found == [spins]


def test_they_are_told_before_torch_is_there():
    code = (
        "import os, sys, impasto.cli.app as app, impasto.__main__ as entry;"
        " app.main = lambda: print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT']); entry.main()"
    )
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=others, check=False)
    assert done.stdout == "False 10000\n"


def test_alone_it_prints_help(cli):
    outcome = cli()
    assert outcome.code == 0
    assert "Usage: impasto [OPTIONS] COMMAND" in outcome.out
    for command in ("stylize", "demo", "evaluate", "weights", "doctor"):
        assert command in outcome.out


def test_a_closed_pipe_is_no_news():
    command = f"{sys.executable} -m impasto stylize --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.fixture
def failing(monkeypatch):
    """Let the command fail with an error of one's choice."""

    def arrange(error: BaseException) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("impasto.cli.stylize.check_job", fail)

    return arrange


def test_an_unexpected_error_is_a_bug_and_says_how_to_see_more(stylize, failing):
    failing(KeyError("nobody"))
    outcome = stylize()
    assert outcome.code == 1
    assert outcome.err.startswith("impasto: This is a bug in impasto: KeyError: 'nobody'.")
    assert "IMPASTO_DEBUG=1" in outcome.err


@pytest.mark.parametrize("way", ["-v", "-yv", "--verbose", "IMPASTO_DEBUG"])
def test_the_traceback_is_there_for_those_who_ask(folder, failing, capsys, monkeypatch, way):
    failing(KeyError("nobody"))
    if way == "IMPASTO_DEBUG":
        monkeypatch.setenv(way, "1")
    assert run(["stylize", "photo.jpg", "painting.png", *([way] if way.startswith("-") else [])]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("unable to mmap 80100512 bytes from file <vgg19.safetensors>: Cannot allocate memory (12)"),
        RuntimeError("could not create a primitive"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_too_little_memory_is_no_bug(stylize, failing, error):
    failing(error)
    outcome = stylize()
    assert (outcome.code, outcome.err) == (
        1,
        "impasto: The memory does not suffice: close other programs, or use a smaller --size.\n",
    )


def test_what_is_not_for_lack_of_memory_is_a_bug(stylize, failing):
    failing(RuntimeError("could not create a primitive descriptor for a convolution"))
    assert "This is a bug" in stylize().err


def test_a_path_that_the_system_refuses_is_no_bug(stylize, failing):
    failing(PermissionError(errno.EACCES, "Permission denied", "/root/x"))
    outcome = stylize()
    assert (outcome.code, outcome.err) == (
        2,
        "impasto: '/root/x' cannot be used (Permission denied): check the path.\n",
    )


def test_a_name_that_is_too_long_is_no_bug(cli, folder):
    name = "x" * 300
    for words in (
        ["resume", name],
        ["weights", "import", name],
        ["stylize", "photo.jpg", "painting.png", "--config", name],
    ):
        outcome = cli(*words)
        assert (outcome.code, "(File name too long)" in outcome.err) == (2, True)


def test_warnings_do_not_reach_the_user(stylize, folder, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 2000)  # the photo has 3072, which makes Pillow warn
    outcome = stylize()
    assert outcome.code == 0
    assert "Warning" not in outcome.err
