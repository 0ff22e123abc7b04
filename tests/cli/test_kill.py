"""kill -9 at any moment, also while a checkpoint is being written: nothing is lost, and the bytes are the same.

IMPASTO_KILLS says how many times; 5 unless given.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from impasto.checkpoint import read_checkpoint
from impasto.kept_pairs import folder_of_pairs

KILLS = int(os.environ.get("IMPASTO_KILLS", "5"))

DRIVER = """
import sys
from importlib import import_module
import impasto.networks
from impasto.cli.app import main

blocks, source = ((4, 4), (8, 8), (8,) * 4, (8,) * 4, (8,) * 4), "https://example.org/tiny.h5"
mean = (103.939, 116.779, 123.68)
tiny = impasto.networks.Network("vgg19", blocks, "BGR", 255.0, mean, (1.0,) * 3, source, "", "none")
impasto.networks.NETWORKS["vgg19"] = import_module("impasto.prepare").VGG19 = tiny
main()
"""

WORDS = ["stylize", "photo.jpg", "painting.png", "--size", "160", "--coarse-network", "none", "--precision", "fp32"]
WORDS += ["--num-iterations", "40", "--coarse-iterations", "1", "--threads", "1"]
EVALUATIONS = 80


DYING = """
import os, signal
import impasto.kept_pairs
save, writes = impasto.kept_pairs.save_file, 0

def die_at_the_fourth(*arguments):
    global writes
    save(*arguments)
    writes += 1
    if writes == 4:
        os.kill(os.getpid(), signal.SIGKILL)

impasto.kept_pairs.save_file = die_at_the_fourth
"""


def command(*words: str, before: str = "") -> list[str]:
    return [sys.executable, "-c", before + DRIVER, *words]


def steps(text: str) -> int:
    """How many evaluations were told of."""
    return sum('"step"' in line and "loss" in json.loads(line) for line in text.splitlines() if line.endswith("}"))


def killed(words: list[str], moments: random.Random, before: str) -> int:
    """Start a run, kill it some evaluations later, and return how many it told of."""
    with subprocess.Popen(command(*words, before=before), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told, wanted = "", moments.randint(1, 12)
        for line in process.stderr:
            told += line
            wanted -= '"step"' in line
            if wanted <= 0:
                break
        time.sleep(moments.random() * 0.02)  # somewhere in an evaluation, or in the writing that follows it
        process.send_signal(signal.SIGKILL)
        return steps(told + process.stderr.read())


HISTORY_APART = """
import impasto.checkpoint
impasto.checkpoint.APART = 1
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
@pytest.mark.parametrize("before", ["", HISTORY_APART], ids=["history inside", "history apart"])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(before: str, folder: Path) -> None:
    subprocess.run(command(*WORDS, "-o", "whole.png", "-q"), check=True, capture_output=True)
    kept = ["--checkpoint", "run.checkpoint", "--checkpoint-every", "0.00001s", "--progress", "json"]
    checkpoint, output, moments = Path("run.checkpoint"), Path("out.png"), random.Random(6)
    kills = 0
    while kills < KILLS:
        words, left = [*WORDS, "-o", "out.png", *kept], EVALUATIONS
        while kills < KILLS and not output.exists():
            assert killed(words, moments, before) <= left
            kills += 1
            if checkpoint.exists():  # whole, whenever the end came
                left = EVALUATIONS - len(read_checkpoint(checkpoint).collected.history)
                words = ["resume", "run.checkpoint", "--progress", "json"]
        if not output.exists():
            finished = subprocess.run(command(*words, before=before), check=True, capture_output=True, text=True)
            assert steps(finished.stderr) == left
        assert output.read_bytes() == Path("whole.png").read_bytes()
        for leftover in (output, checkpoint):  # the end may have come between the picture and the last line
            leftover.unlink(missing_ok=True)
        shutil.rmtree(folder_of_pairs(checkpoint), ignore_errors=True)


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_run_that_is_killed_while_it_writes_goes_on_from_the_checkpoint_before(folder: Path) -> None:
    subprocess.run(command(*WORDS, "-o", "whole.png", "-q"), check=True, capture_output=True)
    kept = ["--checkpoint", "run.checkpoint", "--checkpoint-every", "0.00001s", "--progress", "json"]
    died = subprocess.run(command(*WORDS, "-o", "out.png", *kept, before=DYING), check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    assert Path(".run.checkpoint.writing").is_dir()
    assert len(read_checkpoint(Path("run.checkpoint")).collected.history) == 3
    words = ["resume", "run.checkpoint", "--progress", "json"]
    resumed = subprocess.run(command(*words), check=True, capture_output=True, text=True)
    assert steps(resumed.stderr) == EVALUATIONS - 3
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["out.png", "painting.png", "photo.jpg", "whole.png"]
